"""Exports to one place of an object store: one at a time, whole, and never mixed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from pipeline.export import store_publication
from pipeline.export.publication import publication
from pipeline.run.object_lock import LockLost
from pipeline.storage.files import place_of, read_bytes, write_bytes
from pipeline.storage.s3_client import s3_client
from pipeline.storage.store_place import StorePlace
from schemas.errors import ConfigError
from tests.faulty_store import BUCKET, Fault, FaultyStore, faulty_store

MARK = store_publication.MARK


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyStore]:
    with faulty_store() as store:
        yield store


@pytest.fixture
def store(server: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    monkeypatch.setattr(store_publication, "BEAT_S", 0.05)
    monkeypatch.setattr(store_publication, "STALE_S", 60.0)  # beats are late on a busy machine
    yield server
    server.faults.clear()
    server.ignores_conditions = False


@pytest.fixture(params=["file", "folder"])
def out(request: pytest.FixtureRequest, store: FaultyStore) -> str:
    base = f"s3://{BUCKET}/{uuid.uuid4().hex}/"
    return base + ("x.json" if request.param == "file" else "x")


def export(out: str, files: dict[str, str], *, force: bool = False) -> None:
    with publication(out, is_folder=not out.endswith(".json"), force=force) as made:
        for name, text in files.items():
            made.file(name).write_text(text)


def found(out: str) -> dict[str, str]:
    """Name -> text of all that lies in the folder of an export, locks and marks too."""
    folder = out.rpartition("/")[0]
    place = place_of(folder)
    assert isinstance(place, StorePlace)
    names = place.all_files()
    return {name.rpartition("/")[2]: read_bytes(f"{folder}/{name}").decode() for name in names}


def test_whole_and_without_a_lock_that_stays(out: str) -> None:
    export(out, {"x.json": "a", "x-2.json": "b"})
    assert found(out).items() >= {"x.json": "a", "x-2.json": "b"}.items()
    assert set(found(out)) <= {"x.json", "x-2.json", MARK}
    with pytest.raises(ConfigError, match=r"written meanwhile|exists; give --force"):
        export(out, {"x.json": "c", "x-3.json": "c"})
    assert found(out)["x.json"] == "a"
    assert "x-3.json" not in found(out)
    export(out, {"x.json": "d"}, force=True)
    assert found(out)["x.json"] == "d"
    if not out.endswith(".json"):
        assert "x-2.json" not in found(out)  # of the folder that was replaced
        assert json.loads(found(out)[MARK]) == {"files": 1}


def test_a_folder_that_a_console_made_is_empty(store: FaultyStore) -> None:
    base = f"{BUCKET}/{uuid.uuid4().hex}"
    for name in ("x/", "x/images/"):
        s3_client().put_object(Bucket=BUCKET, Key=f"{base.partition('/')[2]}/{name}", Body=b"")
    export(f"s3://{base}/x", {"images/1.png": "a"})
    assert found(f"s3://{base}/x").keys() == {"1.png", MARK}


def test_a_second_one_is_refused_while_the_first_is_at_work(out: str) -> None:
    with publication(out, is_folder=not out.endswith(".json")) as first:
        first.file("x.json").write_text("a")
        with pytest.raises(ConfigError, match=r"is being written by another export \(process \d+"):
            export(out, {"x.json": "b"}, force=True)
    assert found(out)["x.json"] == "a"


def test_the_lock_of_a_killed_one_is_taken(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_publication, "STALE_S", 0.5)
    folder, _, name = out.rpartition("/")
    write_bytes(f"{folder}/.export-{name}.lock", b'{"host": "h", "pid": 7, "token": "gone"}')
    export(out, {"x.json": "a"})
    assert set(found(out)) <= {"x.json", MARK}


def write_while(out: str, meanwhile: dict[str, bytes], *, force: bool = False) -> None:
    """An export of two files; before they are sent, the store gets other objects."""
    with publication(out, is_folder=not out.endswith(".json"), force=force) as mine:
        for name in ("x.json", "x-2.json"):
            mine.file(name).write_text("mine")
        for url, data in meanwhile.items():
            write_bytes(url, data)


@pytest.mark.parametrize("force", [False, True])
def test_one_that_stood_still_while_another_wrote_mixes_nothing(
    out: str, force: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_publication, "BEAT_S", 1000.0)  # it stands still
    folder, _, name = out.rpartition("/")
    theirs = f"{folder}/x.json" if out.endswith(".json") else f"{folder}/x/x.json"
    meanwhile = {
        f"{folder}/.export-{name}.lock": b'{"host": "there", "pid": 9, "since": "now"}',
        theirs: b"theirs",
        f"{folder}/x/{MARK}": b"{}",
    }
    with pytest.raises(LockLost, match=r"another export took .*process 9 on there"):
        write_while(out, meanwhile, force=force)
    assert found(out)["x.json"] == "theirs"
    assert "x-2.json" not in found(out)


def test_a_conflict_in_the_midst_leaves_the_others_file_and_takes_ours_back(
    store: FaultyStore,
) -> None:
    out = f"s3://{BUCKET}/{uuid.uuid4().hex}/x.json"
    with pytest.raises(ConfigError, match=r"x\.json: x\.json was written meanwhile"):
        write_while(out, {out: b"theirs"})
    assert found(out) == {"x.json": "theirs"}


def test_a_lost_answer_is_not_another_export(out: str, store: FaultyStore) -> None:
    store.faults.append(Fault(method="PUT", within="x.json", status=503, is_late=True))
    export(out, {"x.json": "a" * 10_000_000})
    assert store.faults[0].done == 1
    assert len(found(out)["x.json"]) == 10_000_000


def test_a_folder_of_others_is_refused(store: FaultyStore) -> None:
    out = f"s3://{BUCKET}/{uuid.uuid4().hex}/x"
    write_bytes(f"{out}/photo.jpg", b"theirs")
    with pytest.raises(ConfigError, match="has files that no export wrote"):
        export(out, {"x.json": "a"}, force=True)
    assert found(out) == {"photo.jpg": "theirs"}


def test_a_store_without_conditional_writes(out: str, store: FaultyStore, caplog) -> None:
    store.ignores_conditions = True
    export(out, {"x.json": "a"})
    assert set(found(out)) <= {"x.json", MARK}
    assert "has no exclusive create; let one export at a time write" in caplog.text
