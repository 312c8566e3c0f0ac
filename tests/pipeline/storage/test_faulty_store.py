"""An object store that fails for a while, refuses, or answers late: on a real server process."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.run import commit_objects
from pipeline.run.commit_unit import commit_unit
from pipeline.run.info import require_writable
from pipeline.run.lock import STALE_S, lock_holder, run_lock
from pipeline.run.lock_holder import LOCK
from pipeline.run.object_lock import LockLost, RequireHeld
from pipeline.run.store import RunStore
from pipeline.storage import s3_client
from pipeline.storage.errors import StorageDenied, StorageUnavailable
from pipeline.storage.files import (
    create_bytes,
    open_file,
    read_bytes,
    remove,
    stat_file,
    write_bytes,
)
from pipeline.storage.folders import list_files
from schemas.errors import ConfigError
from tests.faulty_store import BUCKET, CODES, Fault, FaultyStore, faulty_store
from tests.pipeline.run.test_commits import planned, rows_of

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyStore]:
    with faulty_store() as store:
        yield store


@pytest.fixture
def store(server: FaultyStore) -> Iterator[FaultyStore]:
    yield server
    server.faults.clear()
    server.requests.clear()


@pytest.fixture
def url(store: FaultyStore) -> str:
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/x"


@pytest.mark.parametrize("status", [500, 503, 0])
def test_a_read_that_fails_for_a_while(status: int, store: FaultyStore, url: str) -> None:
    write_bytes(url, DATA)
    store.faults.append(Fault(method="GET", within="/x", status=status, times=2))
    assert read_bytes(url) == DATA
    store.faults.append(Fault(method="GET", within="/x", status=status, times=2))
    assert read_bytes(url, 100, 5000) == DATA[100:5000]
    store.faults.append(Fault(method="GET", within="/x", status=status, times=1))
    with open_file(url) as stream:
        assert stream.read() == DATA
    assert [fault.done for fault in store.faults] == [2, 2, 1]


@pytest.mark.parametrize("is_late", [False, True])
def test_a_write_that_fails_for_a_while(is_late: bool, store: FaultyStore, url: str) -> None:
    store.faults.append(Fault(method="PUT", within="/x", status=503, times=2, is_late=is_late))
    write_bytes(url, DATA)
    assert read_bytes(url) == DATA
    assert store.count("PUT", "/x") == 3


def test_a_store_that_stays_down_is_an_error_to_try_again(
    store: FaultyStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_client, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(s3_client, "_clients", {})
    for status in (503, 0):
        write_bytes(url, DATA)
        store.faults[:] = [Fault(method="GET", within="/x", status=status, times=99)]
        with pytest.raises(StorageUnavailable, match="after 2 attempts"):
            read_bytes(url)
    store.faults[:] = [Fault(method="PUT", within="/x", status=500, times=99)]
    with pytest.raises(StorageUnavailable, match=rf"{url}.*{store.url} failed after 2 attempts"):
        write_bytes(url, DATA)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_refusal_says_what_to_check(method: str, store: FaultyStore, url: str) -> None:
    write_bytes(url, DATA)
    store.requests.clear()
    store.faults.append(Fault(method=method, within="/x", status=403, times=99))
    call = {"GET": read_bytes, "HEAD": stat_file, "PUT": lambda url: write_bytes(url, b"")}[method]
    with pytest.raises(StorageDenied, match=rf"{url}: {store.url} refuses .*s3:GetObject"):
        call(url)
    assert store.count(method, "/x") == 1, "a refusal is not tried again"


def test_a_wrong_clock_is_said(
    store: FaultyStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CODES, 403, "RequestTimeTooSkewed")
    store.faults.append(Fault(method="PUT", within="/x", status=403))
    with pytest.raises(StorageDenied, match="the clock of this machine or of the store is wrong"):
        write_bytes(url, DATA)


def test_an_exclusive_create_tells_first_from_second(store: FaultyStore, url: str) -> None:
    assert create_bytes(url, b"one")
    assert not create_bytes(url, b"two")  # 412
    assert read_bytes(url) == b"one"


def test_two_creates_at_once_are_settled_by_trying_again(store: FaultyStore, url: str) -> None:
    store.faults.append(Fault(method="PUT", within="/x", status=409, times=2))
    assert create_bytes(url, b"one")
    store.faults.append(Fault(method="PUT", within="/x", status=409, times=1))
    assert not create_bytes(url, b"two")
    assert (store.count("PUT", "/x"), read_bytes(url)) == (5, b"one")


def test_a_marker_whose_answer_was_lost_is_won(store: FaultyStore) -> None:
    """The retried PUT meets what the first one wrote: 412 on its own marker."""
    run = planned(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    fault = Fault(method="PUT", within="_commits/u0.json", status=500, is_late=True)
    store.faults.append(fault)
    outcome = commit_unit(
        run, run.plan().units[0], rows_of(0), rows_in=4, teacher_id="fake@0", seconds={}
    )
    assert (fault.done, outcome.won) == (1, True)
    assert run.finalize()
    assert len([*run.iter_annotations(), *run.iter_quarantine()]) == 4


def test_of_two_drivers_one_is_refused(store: FaultyStore) -> None:
    place = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    planned(place)
    with (
        run_lock(RunStore(place), beat_s=0.2, stale_s=30),
        pytest.raises(ConfigError, match=rf"{place} is being labelled by another driver .process"),
        run_lock(RunStore(place), beat_s=0.2, stale_s=30),
    ):
        raise AssertionError("both have it")
    with run_lock(RunStore(place), beat_s=0.2, stale_s=30):
        pass  # the first gave it back


def test_the_lock_of_a_driver_that_is_gone_is_taken_over(store: FaultyStore) -> None:
    run = planned(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    write_bytes(run.url("_lock"), b'{"host": "gone", "pid": 1, "since": "yesterday"}')
    with run_lock(run, beat_s=0.2, stale_s=0.5):
        assert b'"gone"' not in read_bytes(run.url("_lock"))


def test_a_lost_answer_to_the_locks_own_write_is_not_another_driver(store: FaultyStore) -> None:
    run = planned(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    store.faults.append(Fault(method="PUT", within="_lock", status=500, is_late=True))
    began = time.monotonic()
    with run_lock(run, beat_s=5, stale_s=60):
        pass
    assert time.monotonic() - began < 50  # it did not wait until the lock was stale
    assert lock_holder(run) is None


def work_while(run: RunStore, other: bytes, require_held: RequireHeld) -> None:
    """As a driver does: it asks now and then. The other takes the lock, and takes it again where
    a beat that had just looked wrote over it; in life a driver is silent long before."""
    for _ in range(1200):
        if read_bytes(run.url(LOCK)) != other:
            write_bytes(run.url(LOCK), other)
        time.sleep(0.05)
        require_held()


def test_a_driver_that_stood_still_leaves_the_lock_to_the_one_that_took_it(
    store: FaultyStore,
) -> None:
    """As after SIGSTOP, another driver, SIGCONT: it is told, and stops."""
    run = planned(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    other = b'{"host": "other", "pid": 7, "since": "now", "token": "t", "at": "2026-01-01"}'
    with run_lock(run, beat_s=0.2, stale_s=30) as require_held:
        require_held()
        with pytest.raises(LockLost, match="this one stops. What is committed is safe") as lost:
            work_while(run, other, require_held)
        assert f"lock of {run.uri} while" in str(lost.value)
        assert "(process 7 on other, since now)" in str(lost.value)
        time.sleep(0.3)
        assert read_bytes(run.url(LOCK)) == other
    assert read_bytes(run.url(LOCK)) == other


def test_a_lock_that_somebody_deleted_is_written_again(store: FaultyStore) -> None:
    run = planned(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    with run_lock(run, beat_s=0.1, stale_s=30) as require_held:
        ours = json.loads(read_bytes(run.url(LOCK)))["token"]
        remove(run.url(LOCK))
        while lock_holder(run) is None:
            time.sleep(0.02)
        time.sleep(0.3)
        require_held()
        assert json.loads(read_bytes(run.url(LOCK)))["token"] == ours
    assert lock_holder(run) is None


@pytest.mark.parametrize("status", [403, 500])
def test_a_lock_that_cannot_be_renewed_for_a_while_is_watched_further(
    store: FaultyStore, status: int
) -> None:
    run = planned(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    with run_lock(run, beat_s=0.1, stale_s=30) as require_held:
        fault = Fault(method="GET", within="_lock", status=status, times=20)
        store.faults.append(fault)
        time.sleep(0.5)
        require_held()
        store.faults.remove(fault)
        other = b'{"host": "b", "pid": 7, "since": "now", "token": "t"}'
        with pytest.raises(LockLost, match="process 7 on b"):
            work_while(run, other, require_held)


@pytest.mark.parametrize("how", ["ignores_conditions", "refuses_conditions"])
def test_a_store_without_the_condition_is_refused_before_anything_is_written(
    how: str, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    require_writable(RunStore(place))
    monkeypatch.setattr(store, how, True)
    with pytest.raises(ConfigError, match=rf"{place}: the store overwrites .*If-None-Match"):
        require_writable(RunStore(place))
    assert list_files(place, suffix="") == []


def test_how_long_a_driver_has_been_silent(store: FaultyStore) -> None:
    run = planned(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    assert lock_holder(run) is None
    write_bytes(run.url(LOCK), b'{"host": "b", "pid": 7, "since": "now"}')
    assert lock_holder(run) is None, "it came with a copy from a disk"
    with run_lock(run, beat_s=0.2, stale_s=30):
        holder = lock_holder(run)
        assert holder is not None
        assert (holder.pid, holder.silent_s < STALE_S) == (os.getpid(), True)
        at_start = read_bytes(run.url(LOCK))
        while read_bytes(run.url(LOCK)) == at_start:
            time.sleep(0.05)
        killed = json.loads(read_bytes(run.url(LOCK))) | {"at": "2026-01-01T00:00:00+00:00"}
    write_bytes(run.url(LOCK), json.dumps(killed).encode())
    holder = lock_holder(run)
    assert holder is not None
    assert holder.silent_s > STALE_S


def labelled(place: str, planned_units: int, committed: int) -> RunStore:
    """A run of which the first units are committed, as a new driver finds it."""
    run = planned(place, planned_units)
    for number, unit in enumerate(run.plan().units[:committed]):
        commit_unit(run, unit, rows_of(number), rows_in=4, teacher_id="t", seconds={})
    return RunStore(place)


@pytest.mark.parametrize("committed, asked", [(0, 0), (6, 6), (10, 12)])
def test_a_large_run_is_listed_before_its_units_are_asked_for(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch, committed: int, asked: int
) -> None:
    monkeypatch.setattr(commit_objects, "LIST_FROM", 4)
    run = labelled(f"s3://{BUCKET}/{uuid.uuid4().hex}", 12, committed)
    store.requests.clear()
    assert [unit.unit_id for unit in run.pending()] == [f"u{n}" for n in range(committed, 12)]
    # Few are missing: the listing may be older than they are.
    assert store.count("GET", "/_commits/") == asked


def test_what_a_listing_lacks_is_asked_for(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_objects, "LIST_FROM", 4)
    run = labelled(f"s3://{BUCKET}/{uuid.uuid4().hex}", 6, 6)
    (lost, *_) = run.commits()["u2"].files
    remove(run.url(lost.path))
    list_folder = commit_objects.list_folder

    def old(url: str) -> Any:
        files, folders = list_folder(url)
        return [file for file in files if "/u4" not in file.uri], folders

    monkeypatch.setattr(commit_objects, "list_folder", old)
    store.requests.clear()
    assert run.recover().withdrawn == ("u2",)
    assert store.count("HEAD", "/annotations/") == 2
    assert store.count("HEAD", "/quarantine/") == 1
    assert [unit.unit_id for unit in RunStore(run.uri).pending()] == ["u2"]
