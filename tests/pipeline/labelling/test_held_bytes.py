"""Encoded images in memory: all units of a worker together stay within a limit, and none starves.

The limits are those of `HeldBytes` and of a window, made small; images are a few hundred bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.images.connections import NotAdmitted
from pipeline.labelling.annotate_unit import AnnotateOptions, UnitRows, annotate_unit
from pipeline.labelling.held_bytes import HeldBytes
from pipeline.labelling.pairs import PairLimits, Seconds, read_windows
from schemas.errors import UnitError
from schemas.records import CorpusRecord
from tests.corpus_builders import make_record, picture_bytes
from tests.fakes import FakeGrounder, FakeParser

SIZE = 4096
"""Bytes of an image here, filled up behind its end."""


class Counted(bytes):
    """Bytes that know how many of their kind are in memory."""

    alive: ClassVar[set[int]] = set()

    def __new__(cls, data: bytes) -> Counted:
        made = super().__new__(cls, data)
        cls.alive.add(id(made))
        return made

    def __del__(self) -> None:
        self.alive.discard(id(self))


def image(number: int) -> bytes:
    return picture_bytes(number, (16, 16)).ljust(SIZE, b"\0")


def in_memory(start: int, seen: list[int]) -> Iterator[CorpusRecord]:
    """Records as a tar's reader makes them; `seen` gets how many images there are at each read."""
    for number in range(start, start + 12):
        yield make_record(number, image_bytes=Counted(image(number)))
        seen.append(len(Counted.alive))


def label_two(
    memory: HeldBytes, units: list[Iterator[CorpusRecord]], limits: PairLimits
) -> list[UnitRows]:
    """Label two units beside each other, as a worker does."""
    turn = threading.Lock()
    with ThreadPoolExecutor(3) as pool, ThreadPoolExecutor(2) as threads:
        futures = [
            threads.submit(
                annotate_unit,
                records,
                FakeGrounder(delay_s=0.001),
                FakeParser(),
                AnnotateOptions(limits=limits, call_size=2),
                pool=pool,
                turn=turn,
                memory=memory,
            )
            for records in units
        ]
        return [future.result(timeout=300) for future in futures]


def test_images_of_an_archive_go_one_after_the_other() -> None:
    seen: list[int] = []
    limits = PairLimits(window_bytes=SIZE)  # one image is a window
    records = in_memory(0, seen)
    with ThreadPoolExecutor(2) as pool:
        found = annotate_unit(
            records, FakeGrounder(), FakeParser(), AnnotateOptions(limits=limits), pool=pool
        )
    assert len(found.rows) == 12
    assert not Counted.alive
    assert max(seen[1:]) <= 1, seen  # of the one before nothing is left where the next is read


def test_two_units_share_the_memory_of_a_worker() -> None:
    memory = HeldBytes(3 * SIZE)
    seen: list[int] = []
    limits = PairLimits(window_bytes=2 * SIZE)
    units = [in_memory(0, seen), in_memory(100, seen)]
    found = label_two(memory, units, limits)
    assert [len(unit.rows) for unit in found] == [12, 12]
    alone = [label_two(HeldBytes(), [in_memory(start, [])], limits)[0] for start in (0, 100)]
    assert [unit.rows for unit in found] == [unit.rows for unit in alone]
    # The limit, and what the first in line takes beyond it: a window and one image.
    assert memory.most <= (3 + 3) * SIZE
    assert len(Counted.alive) == memory.total == 0


def test_files_wait_for_room_too(tmp_path: Path) -> None:
    for number in range(24):
        (tmp_path / f"{number}.png").write_bytes(image(number))
    records = [make_record(n, image_uri=str(tmp_path / f"{n}.png")) for n in range(24)]
    memory = HeldBytes(3 * SIZE)
    halves = [iter(records[:12]), iter(records[12:])]
    found = label_two(memory, halves, PairLimits(window_bytes=2 * SIZE))
    assert sum(bool(row.image_sha256) for unit in found for row in unit.rows) == 24
    assert SIZE <= memory.most <= (3 + 3) * SIZE
    assert memory.total == 0


def test_the_first_in_line_never_waits_and_the_next_does_until_it_ends() -> None:
    memory = HeldBytes(100)
    with memory.unit() as first:
        first.wait_for(1_000)
        first.take(90)
        with memory.unit() as second:
            with pytest.raises(NotAdmitted, match="20 bytes more do not fit"):
                second.try_take(20, 1_000)
            second.try_take(5, 1_000)
            waiter = threading.Thread(target=second.wait_for, args=(50,), daemon=True)
            waiter.start()
            waiter.join(0.05)
            assert waiter.is_alive()
            first.give(60)
            waiter.join(120)
            assert not waiter.is_alive()
    assert memory.total == 0


def test_a_unit_that_fails_gives_its_bytes_back() -> None:
    memory = HeldBytes(100)

    def broken() -> Iterator[CorpusRecord]:
        yield make_record(0, image_bytes=image(0))
        raise UnitError("torn")

    with ThreadPoolExecutor(1) as pool, pytest.raises(UnitError, match="torn"):
        annotate_unit(
            broken(), FakeGrounder(), FakeParser(), AnnotateOptions(), pool=pool, memory=memory
        )
    assert memory.most == SIZE
    assert memory.total == 0
    assert memory.line == []


def test_windows_do_not_depend_on_the_room() -> None:
    limits = PairLimits(window_bytes=3 * SIZE)
    sizes = []
    for limit in (SIZE, 100 * SIZE):
        with ThreadPoolExecutor(2) as pool, HeldBytes(limit).unit() as share:
            windows = read_windows(in_memory(0, []), limits, pool, Seconds(), share=share)
            sizes.append([len(window) for window in windows])
    assert sizes == [[3, 3, 3, 3]] * 2
