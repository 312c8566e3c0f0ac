"""Files that are sent to a store in parts: whole or not at all, and never over another's."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.storage import s3_upload
from pipeline.storage.files import exists, place_of, read_bytes, write_bytes
from pipeline.storage.s3_client import s3_client
from pipeline.storage.store_place import StorePlace
from tests.faulty_store import BUCKET, Fault, FaultyStore, faulty_store

PART = 5 * 2**20
"""The least that stores take."""
DATA = random.Random(0).randbytes(2 * PART + 1000)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyStore]:
    with faulty_store() as store:
        yield store


@pytest.fixture
def store(server: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    monkeypatch.setattr(s3_upload, "PART_BYTES", PART)
    yield server
    server.faults.clear()
    server.ignores_conditions = False


@pytest.fixture
def local(tmp_path: Path) -> str:
    (tmp_path / "labels.tsv").write_bytes(DATA)
    return str(tmp_path / "labels.tsv")


def place() -> StorePlace:
    found = place_of(f"s3://{BUCKET}/{uuid.uuid4().hex} +ü")
    assert isinstance(found, StorePlace)
    return found


def key_of(target: StorePlace) -> str:
    """What a request's path has of it, however it is encoded."""
    return target.path.partition("/")[2].partition(" ")[0]


def unfinished() -> int:
    return len(s3_client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))


def test_in_parts_and_replaced(store: FaultyStore, local: str) -> None:
    target = place()
    write_bytes(target.url, b"old")
    target.put(local, target.path)
    assert read_bytes(target.url) == DATA
    assert (store.count("PUT", key_of(target)), unfinished()) == (1 + 3, 0)
    os.truncate(local, 0)
    target.put(local, target.path)
    assert read_bytes(target.url) == b""


@pytest.mark.parametrize("ignores", [False, True])
def test_another_file_is_not_replaced(store: FaultyStore, local: str, ignores: bool) -> None:
    """Also where the store knows no condition behind the last part."""
    store.ignores_conditions = ignores
    target = place()
    assert target.put_new(local, target.path)
    assert target.put_new(local, target.path)  # ours: as after a lost answer
    Path(local).write_bytes(DATA[::-1])
    assert not target.put_new(local, target.path)
    assert (read_bytes(target.url) == DATA, unfinished()) == (True, 0)


@pytest.mark.parametrize("new", [False, True])
def test_the_answer_to_the_end_is_lost(
    store: FaultyStore, local: str, new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, send = place(), s3_upload._send_parts

    def then_fail(*args: object) -> object:
        parts = send(*args)  # type: ignore[arg-type]
        store.faults.append(Fault(method="POST", within=key_of(target), status=500, is_late=True))
        return parts

    monkeypatch.setattr(s3_upload, "_send_parts", then_fail)
    if new:
        assert target.put_new(local, target.path)
    else:
        target.put(local, target.path)
    assert store.faults[0].done == 1
    assert read_bytes(target.url) == DATA


def test_a_store_that_refuses_the_condition_behind_the_last_part(
    store: FaultyStore, local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, send = place(), s3_upload._send_parts

    def then_refuse(*args: object) -> object:
        parts = send(*args)  # type: ignore[arg-type]
        store.faults.append(Fault(method="POST", within=key_of(target), status=501))
        return parts

    monkeypatch.setattr(s3_upload, "_send_parts", then_refuse)
    assert target.put_new(local, target.path)
    assert (store.faults[0].done, read_bytes(target.url) == DATA, unfinished()) == (1, True, 0)


def test_nothing_is_left_of_one_that_failed(store: FaultyStore, local: str) -> None:
    target = place()
    store.faults.append(Fault(method="PUT", within=key_of(target), status=403, times=9))
    with pytest.raises(PermissionError, match="refuses UploadPart"):
        target.put(local, target.path)
    assert (exists(target.url), unfinished()) == (False, 0)
