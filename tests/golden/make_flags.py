"""The flags of every command, one a line: `python -m tests.golden.make_flags` writes them again."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

from jobs.cli import COMMANDS, main

FILE = Path(__file__).with_name("flags.txt")
SUB_COMMANDS = {
    "review": ("push", "open", "pull", "assign", "agree", "gold"),
    "demo": ("world", "experiment"),
}
_FLAG = re.compile(r"--[a-z][a-z0-9.-]*")


def flags_of(*words: str) -> list[str]:
    """What `--help` of a command lists."""
    os.environ["COLUMNS"] = "100"  # a narrow terminal would break flags over lines
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    starts = (line.removeprefix("│").strip() for line in shown.getvalue().splitlines())
    lines = [line for line in starts if line.startswith(("--", "-h"))]
    return sorted({flag for line in lines for flag in _FLAG.findall(line.split("  ")[0])})


def flags_text() -> str:
    """All of them."""
    commands = [(name,) for name in COMMANDS]
    commands += [(name, sub) for name, subs in SUB_COMMANDS.items() for sub in subs]
    lines = [f"{' '.join(words)} {flag}" for words in sorted(commands) for flag in flags_of(*words)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(flags_text())
