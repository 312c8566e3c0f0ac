"""A run goes on where its corpus was copied or moved to."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.commands.label.label import label
from jobs.labelling.running import Running
from pipeline.run.plan_difference import require_same_plan
from pipeline.run.relocation import Relocation, Relocations
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, FingerprintMismatch
from schemas.plan import Plan
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, write_corpus

LOCAL = Running(runner="local")


def half_done(folder: Path) -> tuple[str, Path]:
    """A run of three units, one of them not done."""
    corpus, out = write_corpus(folder / "old" / "toy", 3), folder / "run"
    assert label(FakeSetup(corpus=corpus), str(out), UNIT, LOCAL) == 0
    marker = min((out / "_commits").iterdir())
    marker.unlink()
    (out / "_SUCCESS").unlink()
    return corpus, out


def test_places() -> None:
    found = Relocations((Relocation.parse("s3://a/b/=/data/c"),))
    assert found.to_old("/data/c/x.tar#1.jpg") == "s3://a/b/x.tar#1.jpg"
    assert found.to_new("s3://a/b") == "/data/c"
    assert found.to_old("/data/cc/x.tar") == "/data/cc/x.tar"
    for wrong in ("", "/a", "=/a", "/a=", "="):
        with pytest.raises(ConfigError, match="--relocate must be OLD=NEW"):
            Relocation.parse(wrong)


def test_a_moved_corpus_goes_on(tmp_path: Path) -> None:
    corpus, out = half_done(tmp_path)
    (tmp_path / "new").mkdir()
    moved = shutil.copytree(corpus, tmp_path / "new" / "toy")
    shutil.rmtree(corpus)
    for path in moved.iterdir():
        os.utime(path, ns=(1, 1))
    setup = FakeSetup(corpus=str(moved))
    with pytest.raises(FingerprintMismatch, match="input"):
        label(setup, str(out), UNIT, LOCAL)
    there = replace(LOCAL, relocate=(f"{tmp_path / 'old'}={tmp_path / 'new'}",))
    assert label(setup, str(out), UNIT, there) == 0
    assert len(all_rows(out)) == 3 * UNIT
    assert RunStore(out).is_complete()
    assert len({row.record_id for row in all_rows(out)}) == 3 * UNIT


def test_other_times_of_the_same_files_go_on(tmp_path: Path) -> None:
    corpus, out = half_done(tmp_path)
    for path in Path(corpus).iterdir():
        os.utime(path, ns=(1, 1))
    same = replace(LOCAL, relocate=(f"{corpus}={corpus}",))
    assert label(FakeSetup(corpus=corpus), str(out), UNIT, same) == 0
    assert len(all_rows(out)) == 3 * UNIT


def test_other_content_is_refused(tmp_path: Path) -> None:
    corpus, out = half_done(tmp_path)
    same = replace(LOCAL, relocate=(f"{corpus}={corpus}",))
    tars = sorted(Path(corpus).iterdir())
    data = tars[1].read_bytes()
    tars[1].write_bytes(data.replace(b"IDAT", b"IDAX"))  # as long as before
    with pytest.raises(ConfigError, match=r"is another picture than toy/0001/\d+ was labelled on"):
        label(FakeSetup(corpus=corpus), str(out), UNIT, same)
    tars[1].write_bytes(data + bytes(512))
    with pytest.raises(FingerprintMismatch, match="0001.tar was '"):
        label(FakeSetup(corpus=corpus), str(out), UNIT, same)


def test_a_corpus_with_another_name_is_told_of_its_ids() -> None:
    old = Plan(corpus="/a/c", corpus_format="x", inputs=(), units=(), config={"corpus": {}})
    plans = [replace(old, config={"corpus": {"source": name}}) for name in ("my c", "c2")]
    with pytest.raises(FingerprintMismatch, match=r"another name now, give --source 'my c'\. Give"):
        require_same_plan(*plans, where="run")
