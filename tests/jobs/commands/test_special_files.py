"""A pipe that nobody writes to, or a device, where a command reads a file: it ends at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.cli import main
from pipeline.storage.files import open_file, read_bytes
from schemas.errors import ConfigError
from tests.jobs.toy_run import toy_rows
from tests.pipeline.folder_run import folder_run


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("filter", "run", "--policy", "p.json"), "--policy"),
        (("evaluate", "--run", "run", "--gold", "p.json"), "--gold"),
        (("pretrain", "--recipe", "p.json", "--out", "student"), "--recipe"),
        (("detect", "photo.jpg", "--names", "@p.json"), "--names"),
        (("corpus", "check", "p.json"), "p.json"),
        (("validate", "p.json"), "p.json"),
    ],
)
def test_a_pipe_is_refused(
    words: tuple[str, ...],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("p.json")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "p.json is a named pipe, not a file" in said
    assert option in said


def test_a_device_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "photo.jpg", "--names", "@/dev/zero"]) == 2
    assert "--names: /dev/zero is a character device, not a file" in capsys.readouterr().err


def test_a_pipe_in_a_received_run_is_refused(tmp_path: Path) -> None:
    place = str(tmp_path / "_plan.json")
    os.mkfifo(place)
    for read in (read_bytes, open_file):
        with pytest.raises(ConfigError, match=r"_plan\.json is a named pipe, not a file"):
            read(place)


@pytest.mark.parametrize(
    "name", ["_commits/u0.json", "annotations/u0.parquet", "run.json", "_lock", "curated/.lock"]
)
def test_no_command_waits_for_a_pipe_of_a_received_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    assert main(["filter", run.uri]) == 0
    place = tmp_path / "run" / name
    if name == "curated/.lock":
        (place,) = (tmp_path / "run").glob("curated/*/.lock")
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    words = ["status"] if name == "_lock" else ["filter"]
    assert main([*words, run.uri]) in (1, 2)
    assert f"{place} is a named pipe, not a file" in capsys.readouterr().err


def test_gold_waits_for_no_pipe_of_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "rows.parquet")
    for words in (["validate"], ["evaluate", "--run", "run", "--gold"]):
        assert main([*words, str(tmp_path)]) in (1, 2)
        assert "rows.parquet is a named pipe, not a file" in capsys.readouterr().err
