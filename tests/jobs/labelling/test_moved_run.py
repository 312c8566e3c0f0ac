"""A run and its corpus that move from a folder into a bucket, into another, and back again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.cli import main as glipforge
from jobs.commands.label.label import label
from jobs.labelling.running import Running
from pipeline.images.access import ImageAccess
from pipeline.run.limits import image_access
from pipeline.run.relocation import RELOCATED, moved_places
from pipeline.run.store import RunStore
from pipeline.storage.files import place_of, read_bytes, write_bytes
from pipeline.storage.store_place import StorePlace
from schemas.errors import DataError, FingerprintMismatch
from tests.faulty_store import BUCKET, faulty_store
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, write_corpus

LOCAL = Running(runner="local")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with faulty_store():
        yield f"s3://{BUCKET}"


def files_below(folder: str) -> list[str]:
    place = place_of(folder)
    if isinstance(place, StorePlace):
        return place.all_files()
    return [str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()]


def move(old: str, new: str) -> str:
    """As `aws s3 mv --recursive` does it: content and names, no times."""
    for name in files_below(old):
        write_bytes(f"{new}/{name}", read_bytes(f"{old}/{name}"))
        place_of(f"{old}/{name}").remove()
    if not old.startswith("s3://"):
        shutil.rmtree(old)
    return new


def undo_a_unit(run: str) -> None:
    place_of(f"{run}/_commits/{min(files_below(f'{run}/_commits'))}").remove()
    place_of(f"{run}/_SUCCESS").remove()


def use(run: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[bytes, dict]:
    """What commands that read the run and its pictures make of it."""
    assert glipforge(["filter", run]) == 0, capsys.readouterr().err
    words = ["--out", str(folder / "x.json"), "--copy-images", str(folder / "x"), "--force"]
    assert glipforge(["export", run, *words]) == 0, capsys.readouterr().err
    assert glipforge(["report", run, "--out", str(folder / "x.html")]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert glipforge(["status", run, "--json"]) == 0
    return (folder / "x.json").read_bytes(), json.loads(capsys.readouterr().out)


def test_from_a_folder_through_two_buckets_and_back(bucket: str, tmp_path: Path, capsys) -> None:
    corpus = write_corpus(tmp_path / "here" / "toy", 3)
    run = str(tmp_path / "here" / "run")
    assert label(FakeSetup(corpus=corpus), run, UNIT, LOCAL) == 0
    rows = [replace(row, image_uri="") for row in all_rows(run)]
    exported, status = use(run, tmp_path, capsys)
    for there in (f"{bucket}/a", f"{bucket}/b", str(tmp_path / "back")):
        was, corpus = corpus, move(corpus, f"{there}/toy")
        run = move(run, f"{there}/run")
        undo_a_unit(run)
        setup = FakeSetup(corpus=corpus)
        with pytest.raises(FingerprintMismatch, match="corpus|input"):
            label(setup, run, UNIT, LOCAL)
        from_plan = RunStore(run).plan().corpus
        moved = replace(LOCAL, relocate=(f"{from_plan}={corpus}",))
        assert label(setup, run, UNIT, moved) == 0, capsys.readouterr().err
        found = all_rows(run)
        assert [replace(row, image_uri="") for row in found] == rows, was
        # Rows of before still name where their images were; all are found where they are.
        assert len({row.image_uri.rpartition("/")[0] for row in found}) > 1
        moved_to = image_access(RunStore(run))
        assert {moved_to.now(row.image_uri).rpartition("/")[0] for row in found} == {corpus}
        again, now = use(run, tmp_path, capsys)
        assert again == exported
        assert now["rows"] == status["rows"]


def test_places_follow_each_other_and_lead_back(tmp_path: Path) -> None:
    run = RunStore(tmp_path)
    said = [("/a", "s3://b"), ("/other", "/c"), ("/a", "/d"), ("/a", "/a"), ("/a/x", "/e")]
    said += [("/n", "/n/v1")]  # rows of before name /n, those of after /n/v1
    relocated = tmp_path / RELOCATED
    relocated.write_text(json.dumps([{"old": old, "new": new} for old, new in said]))
    found = ImageAccess(moved=moved_places(run))
    places = {
        "s3://b/1.png": "/a/1.png",
        "/d/1.tar#x.png": "/a/1.tar#x.png",
        "/other": "/c",
        "/a/1.png": "/a/1.png",
        "/a/x/1.png": "/e/1.png",
        "/dd/1.png": "/dd/1.png",
        "/n/1.png": "/n/v1/1.png",
        "/n/v1/2.png": "/n/v1/2.png",
    }
    assert {uri: found.now(uri) for uri in places} == places
    told = [{"old": "/c", "new": "/a/old"}, {"old": "/a", "new": "/n"}]
    for both in (told, told[::-1]):
        relocated.write_text(json.dumps(both))
        found = ImageAccess(moved=moved_places(run))
        now = [found.now(uri) for uri in ("/c/1", "/a/old/1", "/a/1")]
        assert now == ["/a/old/1", "/a/old/1", "/n/1"]
    relocated.write_text('[{"old": 7, "new": "/x"}]')
    with pytest.raises(DataError, match=r"_relocated.json is damaged .*got 7.*; delete it"):
        moved_places(run)
