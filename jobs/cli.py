"""The command line: finds the command's module, lets tyro turn its `Config` into flags, runs it.

Each command is one module of `jobs` with a frozen keyword-only dataclass `Config` (or a union of
them, for sub-commands) and `run(config) -> int`. Only the module of the command that was asked
for is imported, so `glipforge --help` answers at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas.errors import ConfigError, GlipforgeError

# name -> (module, one line for --help). The order is the order in which a user meets them.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("jobs.commands.demo", "make a small captioned world and run the whole loop on it"),
    "ground": ("jobs.commands.ground", "find the phrases of a caption in one image"),
    "detect": ("jobs.commands.detect", "find named things in one image"),
    "corpus": ("jobs.commands.corpus", "look at a corpus without a teacher"),
    "label": ("jobs.commands.label", "label a corpus with a teacher, on Ray or locally"),
    "status": ("jobs.commands.status", "explain a run from its manifests"),
    "filter": ("jobs.commands.filter", "apply a filter policy to a labelled run"),
    "review": ("jobs.commands.review", "review labels in FiftyOne: push, open, pull"),
    "export": ("jobs.commands.export", "write curated labels as COCO-style grounding data"),
    "pretrain": ("jobs.commands.pretrain", "train a student on curated runs and gold data"),
    "self-train": (
        "jobs.commands.self_train",
        "rounds of it: a student labels for the next student",
    ),
    "evaluate": ("jobs.commands.evaluate", "measure a model or a labelled run against gold boxes"),
    "compare": ("jobs.commands.compare", "compare the labels of two runs"),
    "report": ("jobs.commands.report", "write one HTML page about a run"),
    "convert": ("jobs.commands.convert", "convert official GLIP checkpoints, and back"),
    "models": ("jobs.commands.models", "list the presets and what each needs"),
}
PACKAGES = ("jobs", "model", "pipeline", "schemas")
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {line}" for name, (_, line) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: glipforge COMMAND [OPTIONS]",
            "",
            "Grounded training data from image-caption corpora.",
            "",
            "commands:",
            *lines,
            "",
            "glipforge COMMAND --help shows the options of a command.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 some work failed, 2 wrong usage, 130)."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(args)
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def require_own_packages() -> None:
    """Our packages have common names: refuse to run with somebody else's `model` or `pipeline`.

    Raises:
        ConfigError: names the package and the file that stands in its place.
    """
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            raise ConfigError(
                f"package {name!r} is {origin or 'missing'}, not the one of glipforge in {home}: "
                "another package of this name comes first; install glipforge into an environment "
                "of its own, or start it from another folder"
            )


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else EXIT_USAGE
    if args[0] == "--version":
        from importlib.metadata import version

        print(version("glipforge"))
        return 0
    name, rest = args[0], args[1:]
    if name not in COMMANDS:
        print(
            f"glipforge: unknown command {name!r}; allowed: {', '.join(COMMANDS)}", file=sys.stderr
        )
        return EXIT_USAGE
    try:
        require_own_packages()
        module = importlib.import_module(COMMANDS[name][0])
        import tyro

        config = tyro.cli(
            module.Config, args=rest, prog=f"glipforge {name}", description=module.__doc__
        )
        return int(module.run(config))
    except ConfigError as error:
        print(f"glipforge {name}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except GlipforgeError as error:
        print(f"glipforge {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"glipforge {name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
