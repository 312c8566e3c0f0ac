"""What a command says to type next can be typed, also where a path has a space."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from jobs.cli import COMMANDS, main
from jobs.commands.label.label import Running, label
from jobs.parsing import parse
from tests.jobs.fake_label import UNIT, FakeSetup, write_corpus


def next_of(said: str) -> list[str]:
    """The words of the last `next: glipforge ...`, without the program."""
    (*_, line) = re.findall(r"next: glipforge (.*)", said)
    words = shlex.split(line)
    config = importlib.import_module(COMMANDS[words[0]][0]).Config
    assert parse(config, words[1:], prog=words[0], description=None)
    return words


def test_from_labels_to_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    setup = FakeSetup(corpus=write_corpus(tmp_path / "my photos", 2))
    assert label(setup, str(tmp_path / "my run"), UNIT, Running(runner="local")) == 0
    words = next_of(capsys.readouterr().out)
    assert words == ["filter", str(tmp_path / "my run")]
    assert main(words) == 0
    words = next_of(capsys.readouterr().out)
    assert words[:2] == ["export", str(tmp_path / "my run")]
    assert main(words) == 0
    assert (tmp_path / "labels.json").is_file()
