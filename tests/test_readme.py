"""What README.md shows runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from jobs.cli import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert out.returncode == 0, out.stderr
    assert "tensor" in out.stdout


def test_every_command_is_in_the_table_and_exists() -> None:
    table = README.partition("| command |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `([a-z-]+)", table, re.MULTILINE)
    assert sorted(named) == sorted(COMMANDS)


def test_every_benchmark_and_script_that_is_named_exists() -> None:
    for module in set(re.findall(r"python -m (tests[\w.]+)", README)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_it_is_short_and_has_its_pictures() -> None:
    assert len(README.splitlines()) <= 240
    assert set(re.findall(r"!\[.+\]\((.+)\)", README)) == {
        "docs/pictures/labelled.webp",
        "docs/pictures/review.webp",
    }
