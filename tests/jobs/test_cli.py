"""The command line as users and scripts meet it: help, exit codes, flags that must not change."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.cli import COMMANDS, main, require_own_packages
from schemas.errors import ConfigError
from tests.golden.make_flags import FILE, flags_text


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
    assert f"usage: glipforge {name}" in capsys.readouterr().out


def test_flags_are_those_of_the_golden_file() -> None:
    """Scripts depend on them. After a change on purpose: python -m tests.golden.make_flags"""
    assert flags_text() == FILE.read_text()


@pytest.mark.parametrize(
    "args, code, said",
    [
        ([], 2, "usage: glipforge COMMAND"),
        (["--help"], 0, "usage: glipforge COMMAND"),
        (["--version"], 0, "0."),
        (["lable"], 2, "unknown command 'lable'; allowed: demo, ground"),
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
    (tmp_path / "a.txt").write_text("")
    assert main(["label", "--corpus", str(tmp_path), *out]) == 2
    assert "nothing in it is a corpus that is read" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def interrupted(config: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.commands.models.run", interrupted)
    assert main(["models"]) == 130
    assert "glipforge models: interrupted" in capsys.readouterr().err


def test_a_reader_that_leaves_early() -> None:
    script = f"{sys.executable} -m jobs --help | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "usage" in done.stdout
    assert done.stderr == ""


def test_help_loads_no_heavy_package() -> None:
    code = (
        "import sys; from jobs.cli import main; main(['--help']); "
        "print([n for n in ('torch', 'ray', 'fiftyone', 'pyarrow', 'tyro') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_foreign_package_in_our_place(monkeypatch: pytest.MonkeyPatch) -> None:
    require_own_packages()
    real = importlib.util.find_spec

    def find(name: str) -> object:
        return SimpleNamespace(origin="/other/model/__init__.py") if name == "model" else real(name)

    monkeypatch.setattr("jobs.cli.importlib.util.find_spec", find)
    with pytest.raises(ConfigError, match=r"package 'model' is /other/model/__init__.py, not the"):
        require_own_packages()
