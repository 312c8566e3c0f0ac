"""A run that came from others holds links to places outside of it: no command writes there."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from jobs.cli import main as glipforge
from pipeline.curation import in_use
from pipeline.curation.decisions import append_decisions
from pipeline.curation.pushed import Pushed, write_pushed
from pipeline.layers.store import layers_of
from pipeline.run.lock import lock_holder, run_lock
from pipeline.run.store import RunStore
from pipeline.storage.inside import open_lock
from schemas.errors import ConfigError, GlipforgeError
from tests.jobs.toy_run import toy_rows, write_gold
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_decision

ENRICH = ["enrich", "RUN", "--with", "duplicates", "--runner", "local"]
COMMANDS = [
    ["filter", "RUN"],
    ["filter", "RUN", "--policy", "glip", "--policy", "grit", "--compare"],
    ENRICH,
    ["audit", "RUN", "--size", "2"],
    ["calibrate", "RUN", "--gold", "HERE/coco.json"],
    ["queue", "RUN"],
    ["leakage", "RUN", "--against", "HERE/images"],
    ["report", "RUN"],
    ["status", "RUN"],
    ["prune", "RUN", "--out", "HERE/new"],
    ["export", "RUN", "--format", "coco", "--out", "HERE/new.json", "--force"],
    ["search", "RUN", "box"],
]
"""That read or write a run; those that write also do it anew on a damaged one."""
NEW_DECISION = make_decision(decision_id="d1", record_id="toy/1", box_id="toy/1#1")
MADE = ["annotations", "_commits", "curated", "curated/*", "decisions", "trust", "layers"]
MADE += ["layers/duplicates", "layers/duplicates/_commits"]
TO_BE_MADE = ["_staging", "retries", "exports", "layers/duplicates/_staging"]


def _make(here: Path) -> None:
    """A run with a file of every kind."""
    run = folder_run(here / "run", toy_rows(here))
    write_gold(here, detection=True)
    append_decisions(run, [make_decision(record_id="toy/0", box_id="toy/0#0")])
    write_pushed(run, Pushed(dataset="d", pairs=1, boxes=1))
    for command in COMMANDS:
        assert _code(command, here) == 0, command


def _code(command: list[str], here: Path) -> int:
    shutil.rmtree(here / "new", ignore_errors=True)
    return glipforge(
        [word.replace("RUN", str(here / "run")).replace("HERE", str(here)) for word in command]
    )


def _snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


def _write_everything(here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Every command, and every writer that a command reaches with a database or a model only.

    Returns:
        What was refused.
    """
    run = RunStore(str(here / "run"))
    said: list[str] = []

    def attempt(*acts: Callable[[], object]) -> None:
        for act in acts:
            try:
                act()
            except GlipforgeError as error:
                said.append(str(error))

    def command(words: list[str]) -> None:
        assert _code(words, here) in (0, 1, 2)
        said.append(capsys.readouterr().err)

    attempt(
        # A decision since: nothing that is derived is up to date.
        lambda: append_decisions(run, [NEW_DECISION]),
        lambda: write_pushed(run, Pushed(dataset="d", pairs=2, boxes=2)),
        lambda: run.recover(verify=True),
        run.finalize,
        lambda: run.write_text_atomic("{}", "retries", "u0.json"),
        lambda: run.write(b"{}", "exports", "view.json"),
        lambda: contextlib.ExitStack().enter_context(run_lock(run)),
    )
    for words in COMMANDS:
        command(words)
    for layer in layers_of(run):
        attempt(
            layer.finalize,
            partial(layer.write, b"", "_vectors", "u0.arrow"),
            lambda layer=layer: layer.withdraw(layer.commits().values()),
        )
    command(ENRICH)
    attempt(lambda: run.withdraw(run.commits().values()))
    assert "Traceback" not in "".join(said)
    return "\n".join(said)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("made")
    _make(here)
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "here"))


@pytest.mark.parametrize("name", [*MADE, *TO_BE_MADE])
def test_nothing_is_written_through_a_folder(
    name: str, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for place in sorted((here / "run").glob(name)) or [here / "run" / name]:
        if place.exists():
            place.rename(elsewhere / place.name)
        place.symlink_to(elsewhere / place.name)
    before = _snapshot(elsewhere)
    said = _write_everything(here, capsys)
    assert f"{name.rpartition('/')[2].strip('*')}" in said
    assert "leads out of the run" in said
    assert _snapshot(elsewhere) == before


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_nothing_is_written_through_a_file(
    link: Callable[..., None], here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, elsewhere = here / "run", tmp_path / "elsewhere"
    (run / "_lock").write_text("somebody's")
    run.rename(elsewhere)
    for path in sorted(elsewhere.rglob("*")):
        if path.is_dir():
            (run / path.relative_to(elsewhere)).mkdir(parents=True)
    for path in sorted(elsewhere.rglob("*")):
        if path.is_file():
            link(path, run / path.relative_to(elsewhere))
    before = _snapshot(elsewhere)
    said = _write_everything(here, capsys)
    assert ("_lock is a symbolic link to a file" in said) == (link is os.symlink)
    assert _snapshot(elsewhere) == before


def test_a_copy_by_hard_links_has_its_own_lock(tmp_path: Path) -> None:
    run, copy = RunStore(str(tmp_path / "run")), RunStore(str(tmp_path / "copy"))
    with run_lock(run):
        shutil.copytree(run.uri, copy.uri, copy_function=os.link)  # as `cp -al`
        said = Path(run.url("_lock")).read_bytes()
        with pytest.raises(ConfigError, match="is being labelled"), run_lock(copy):
            pass
    assert Path(copy.url("_lock")).samefile(run.url("_lock"))
    with run_lock(copy):
        assert Path(run.url("_lock")).read_bytes() == said
        assert lock_holder(copy) is not None
        assert lock_holder(run) is None
        with pytest.raises(ConfigError, match="is being labelled"), run_lock(copy):
            pass
        with run_lock(run):
            assert not Path(copy.url("_lock")).samefile(run.url("_lock"))


def test_who_waited_for_a_lock_that_was_replaced_takes_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunStore(str(tmp_path))
    (tmp_path / "_lock").touch()
    os.link(tmp_path / "_lock", tmp_path / "backup")
    with contextlib.ExitStack() as other:
        opened: list[str] = []

        def late(path: str) -> IO[bytes]:
            stream = open_lock(path)
            if not opened:  # between its opening and its locking another driver is faster
                opened.append(path)
                other.enter_context(run_lock(run))
            return stream

        monkeypatch.setattr("pipeline.run.lock.open_lock", late)
        with pytest.raises(ConfigError, match="is being labelled"), run_lock(run):
            pass
    with run_lock(run):
        assert (tmp_path / "backup").read_bytes() == b""


def test_an_older_curation_on_a_medium_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _make(tmp_path)

    def read_only(path: str) -> IO[bytes]:
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(in_use, "open_lock", read_only)
    export = ["export", "RUN", "--format", "coco", "--out", "HERE/new.json", "--force"]
    assert _code(export, tmp_path) == 0, "what is there is read"
    append_decisions(RunStore(tmp_path / "run"), [NEW_DECISION])
    capsys.readouterr()
    assert _code(export, tmp_path) == 2
    said = capsys.readouterr().err
    assert "run has no curation of default@" in said
    assert "as new as its labels and decisions" in said
    assert said.endswith("Copy the run to a place of your own, and give that\n")
