"""The command line: one table of commands; finds the command's module, reads its options, runs it.

Each command is one module of `jobs/commands/` with a frozen keyword-only dataclass `Config` (or a
union of them, for sub-commands), `EXAMPLES` (lines that run as they stand) and
`run(config) -> int`. Only the module of the command that was asked for is imported, and modules
import what is heavy where it is used, so that every help answers at once.
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from jobs.safe_output import safe_output
from schemas.errors import ConfigError, GlipforgeError
from schemas.redaction import shown

# Group -> name -> (module of jobs.commands, one line for --help), in the order of work.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "try": {
        "demo": ("look.demo", "make a small captioned world and run the whole loop on it"),
        "ground": ("look.ground", "find the phrases of a caption in one image"),
        "detect": ("look.detect", "find named things in one image"),
        "ask": ("look.ask", "ask where things are in one image"),
    },
    "prepare": {
        "doctor": ("prepare.doctor", "look at this machine: what is there, what is missing"),
        "corpus": ("prepare.corpus", "look at a corpus without a teacher"),
        "models": ("prepare.models", "list the presets and what each needs"),
        "schema": ("prepare.schema", "print the JSON schema of a policy or a recipe"),
        "convert": ("prepare.convert", "convert official GLIP checkpoints, and back"),
    },
    "label": {
        "label": ("label.label", "label a corpus with a teacher, on Ray or locally"),
        "caption": ("label.caption", "make captions for images that have none"),
        "enrich": ("label.enrich", "add layers to a run: CLIP, embeddings, masks, hashes"),
        "status": ("label.status", "explain a run: how far, how fast, what failed"),
    },
    "make right": {
        "search": ("curate.search", "find pairs and boxes of a run by words or likeness"),
        "sql": ("curate.sql", "ask a run in SQL"),
        "leakage": ("curate.leakage", "look for images of a test set in a run"),
        "filter": ("curate.filter", "apply a filter policy to a labelled run"),
        "audit": ("curate.audit", "draw labels for people to judge"),
        "calibrate": ("curate.calibrate", "state the precision of a run's labels"),
        "queue": ("curate.queue", "order labels by how likely they are wrong"),
        "review": ("curate.review", "review labels: push, open, pull, assign, agree, gold"),
        "compare": ("curate.compare", "compare the labels of two runs"),
        "report": ("curate.report", "write one HTML page about a run"),
    },
    "use": {
        "export": ("share.export", "write curated labels as COCO-style grounding data"),
        "import": ("share.import_gold", "make a run of boxes that people drew"),
        "prune": ("share.prune", "make a run without the bad images of another"),
        "validate": ("share.validate", "find what is wrong with a file of boxes"),
    },
    "train": {
        "pretrain": ("train.pretrain", "train a student on curated runs and gold data"),
        "self-train": ("train.self_train", "rounds of it: a student labels for the next"),
        "retrieve": ("train.retrieve", "find captions by image and images by caption, and measure"),
        "evaluate": ("train.evaluate", "measure a model or a run against gold boxes"),
    },
}
COMMANDS: dict[str, tuple[str, str]] = {
    name: (f"jobs.commands.{module}", line)
    for group in GROUPS.values()
    for name, (module, line) in group.items()
}
# Where a module's name is not that of the package that brings it.
DISTRIBUTIONS = {"PIL": "pillow", "bson": "fiftyone", "pymongo": "fiftyone"}
COMPOSED = ("demo",)
"""Commands whose steps are commands: they are given the command line itself."""
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 some work failed, 2 wrong usage, 130
    interrupted, 141 the reader of the output left."""
    args = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without Unicode, or a file name that is not text, must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with safe_output():
            try:
                code = _run(args) if argv is not None else _program(args)
            except SystemExit:
                if getattr(sys.stdout, "is_broken", False):
                    return EXIT_BROKEN_PIPE
                raise
        if sys.stdout is not None:  # as it is where it was closed: `>&-`
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def _program(args: list[str]) -> int:
    """As `_run`; the traceback of a fault of ours is written here, where what it quotes is safe."""
    try:
        return _run(args)
    except BrokenPipeError:
        raise
    except Exception:
        sys.excepthook(*sys.exc_info())
        return 1


def examples_of(module: ModuleType, words: Sequence[str] = ()) -> list[str]:
    """Examples of a command; those of its sub-command where the words name one."""
    given: tuple[str, ...] = getattr(module, "EXAMPLES", ())
    first = next((word for word in words if not word.startswith("-")), None)
    return [line for line in given if first in line.split()[2:3]] or list(given)


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [
        "usage: glipforge COMMAND [OPTIONS]",
        "",
        "Grounded training data from captioned images.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:<{width}}  {line}" for name, (_, line) in commands.items()]
    lines += ["", "glipforge COMMAND --help shows the options of a command, and an example."]
    return "\n".join(lines)


def _run(args: list[str]) -> int:
    if args[:1] == ["help"] and args[1:2]:
        args = [*args[1:], "--help"]
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if args else EXIT_USAGE
    if args[0] == "--version":
        from importlib.metadata import version

        print(version("glipforge"))
        return 0
    name, rest = args[0], args[1:]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        guess = f", did you mean {near[0]}?" if near else f"; allowed: {', '.join(COMMANDS)}"
        print(f"glipforge: unknown command {name!r}{guess}", file=sys.stderr)
        return EXIT_USAGE
    try:
        return _run_command(name, rest)
    except GlipforgeError as error:
        code = EXIT_USAGE if isinstance(error, ConfigError) else 1
        return _refuse(name, _as_typed(name, error), code)
    except ModuleNotFoundError as error:
        return _refuse(name, _missing_package(error), EXIT_USAGE)
    except BrokenPipeError:
        raise
    except OSError as error:
        from schemas.errors import os_sentence

        if error.errno is None:  # a library's, not the operating system's: where it was matters
            raise
        return _refuse(name, os_sentence(error), EXIT_USAGE)
    except MemoryError:
        return _refuse(name, "there is not enough memory; close other programs, or ask for less", 1)
    except KeyboardInterrupt:
        print(f"glipforge {name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _refuse(name: str, reason: str, code: int) -> int:
    print(f"glipforge {name}: {shown(reason)}", file=sys.stderr)
    return code


def _run_command(name: str, words: list[str]) -> int:
    module = importlib.import_module(COMMANDS[name][0])
    from jobs.parsing import parse

    try:
        config = parse(module.Config, words, prog=f"glipforge {name}", description=module.__doc__)
    except SystemExit as ended:
        if not ended.code:
            shown = examples_of(module, words)
            print("\n".join(["", "example:" if len(shown) == 1 else "examples:", *shown]))
        raise
    if name in COMPOSED:
        return int(module.run(config, main))
    return int(module.run(config))


def _missing_package(error: ModuleNotFoundError) -> str:
    """A sentence about a package that this environment lacks; ours are a fault of ours."""
    package = (error.name or "").partition(".")[0]
    if not package or package in ("jobs", "model", "pipeline", "schemas", "tests"):
        raise error
    package = DISTRIBUTIONS.get(package, package)
    return (
        f"the package {package!r} is not installed, which this command needs: pip install "
        f"{package}, with the versions of constraints.txt; requirements-worker.txt holds only what "
        "labelling, filtering and exporting need"
    )


def _as_typed(name: str, error: GlipforgeError) -> str:
    from jobs.parsing import as_typed, options_of

    module = importlib.import_module(COMMANDS[name][0])
    return as_typed(str(error), options_of(module.Config))
