"""The command line as users and scripts meet it: help, exit codes, flags that must not change."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import cli
from jobs.cli import COMMANDS, GROUPS, examples_of, main
from jobs.parsing import parse
from tests.golden.make_flags import FILE, flags_text

HEAVY = ("torch", "ray", "fiftyone", "spacy", "boto3", "matplotlib")
MAX_HELP_MIB = 120


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_options_and_a_sentence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(COMMANDS[name][0])
    assert module.__doc__
    assert callable(module.run)
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: glipforge {name}" in shown
    assert examples_of(module), f"{module.__name__} has no EXAMPLES"
    assert shown.endswith("\n".join(examples_of(module)) + "\n")
    assert not re.findall(r"\bSTR\b|\{None\}", shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_parses(name: str) -> None:
    module = importlib.import_module(COMMANDS[name][0])
    for line in examples_of(module):
        program, command, *words = shlex.split(line)
        assert (program, command) == ("glipforge", name)
        assert parse(module.Config, words, prog=name, description=None)


def test_help_of_a_sub_command_has_its_own_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["review", "pull", "--help"])
    shown = capsys.readouterr().out
    assert "example:\nglipforge review pull" in shown
    assert "review push" not in shown


def test_commands_are_listed_in_the_order_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and "usage" not in line] == list(
        GROUPS
    )
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)


def test_flags_are_those_of_the_golden_file() -> None:
    """Scripts depend on them. After a change on purpose: python -m tests.golden.make_flags"""
    assert flags_text() == FILE.read_text()


@pytest.mark.parametrize(
    "args, code, said",
    [
        ([], 2, "usage: glipforge COMMAND"),
        (["--help"], 0, "usage: glipforge COMMAND"),
        (["--version"], 0, "0."),
        (["lable"], 2, "unknown command 'lable', did you mean label?"),
        (["xyz"], 2, "unknown command 'xyz'; allowed: demo, ground"),
        (["corpus", "check", "x", "--limit", "-1"], 2, "--limit must be 0 or more, got -1"),
        (["enrich", "x", "--cpus-per-worker", "nan"], 2, "--cpus-per-worker must be 0 or more"),
        (["status", "/no/where"], 2, "glipforge status: /no/where is not a labelling run"),
    ],
)
def test_exit_codes(args, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == code
    captured = capsys.readouterr()
    assert said in captured.out + captured.err


@pytest.mark.parametrize("args", [["label"], ["label", "--corpus", "x", "--out", "y", "--bogus"]])
def test_wrong_flags_exit_2(args, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_wrong_labelling_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert main(["label", "--corpus", str(tmp_path / "gone"), *out]) == 2
    assert "gone' does not exist" in capsys.readouterr().err
    (tmp_path / "a.bin").write_text("")
    assert main(["label", "--corpus", str(tmp_path), *out]) == 2
    assert "nothing in it is a corpus that is read" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def interrupted(config: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.commands.prepare.models.run", interrupted)
    assert main(["models"]) == 130
    assert "glipforge models: interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--help", "models"])  # printed plainly, and by rich
def test_a_reader_that_has_left(word: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "jobs", word]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_no_help_loads_a_heavy_package() -> None:
    """All helps in one process, so that it is quick; what one of them loads is seen after it."""
    code = f"""
import contextlib, io, json, re, sys
from jobs.cli import COMMANDS, main
loaded = {{}}
for name in ("", *COMMANDS):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main([name, "--help"] if name else ["--help"])
    loaded[name] = [heavy for heavy in {HEAVY} if heavy in sys.modules]
(peak,) = re.findall(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(json.dumps([loaded, int(peak) / 1024]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, mib = json.loads(done.stdout)
    assert loaded == {name: [] for name in ("", *COMMANDS)}
    assert mib < MAX_HELP_MIB


def test_the_list_of_commands_loads_nothing() -> None:
    code = (
        "import sys; from glipforge import main; main(['--help']); "
        "print([n for n in ('numpy', 'pyarrow', 'tyro', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module, package", [("bson.objectid", "fiftyone"), ("peft", "peft")])
def test_a_package_that_is_not_there_is_a_sentence(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def run(config: object) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("jobs.commands.prepare.models.run", run)
    assert main(["models"]) == 2
    assert f"the package {package!r} is not installed" in capsys.readouterr().err
    monkeypatch.setattr("jobs.commands.prepare.models.run", lambda config: __import__("model.gone"))
    with pytest.raises(ModuleNotFoundError):  # ours: a fault that must be seen
        main(["models"])


def test_a_terminal_without_unicode_shows_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(cli, "_run", lambda args: print("\u72ac \udce9") or 0)
    assert main(["status"]) == 0
    assert stream.buffer.getvalue() == b"\\u72ac \\udce9\n"
