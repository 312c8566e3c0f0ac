"""Several runs as one stream: a pair that several have is taken from the first, or joined."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipeline.export.union import Spool, united
from schemas.records import CuratedRecord

REPEATED = "pair that an earlier run has (same image and caption)"
JOINED = "pair of another run joined with its boxes"
OTHER_SIZE = "pair of another run whose image has another size there: the first run's boxes stay"
RENAMED = "record id that an earlier run has for another pair: it got a number"


def merged_records(
    runs: Sequence[Iterable[CuratedRecord]],
    counts: Counter[str],
    rule: Literal["first", "union"] = "first",
) -> Iterator[CuratedRecord]:
    """The records of all runs, in their order.

    A pair is known by the bytes of its image (where the run has their hash, else by its address)
    and its caption. `first`: the first run to have it is the one believed. `union`: it has the
    boxes of all, see `united`; the later runs then wait on the disk. Within one run nothing is
    joined. Record and box ids stay unique.
    """
    if len(runs) == 1:
        yield from runs[0]
    elif rule == "first":
        yield from _merged(runs, counts, lambda place, pair, record: record)
    else:
        yield from _unions(runs, counts)


def _unions(
    runs: Sequence[Iterable[CuratedRecord]], counts: Counter[str]
) -> Iterator[CuratedRecord]:
    with tempfile.TemporaryDirectory() as folder, closing(Spool(Path(folder))) as spool:
        for place, run in enumerate(runs[1:], start=1):
            spool.fill(place, ((_pair(record), record) for record in run))

        def join(place: int, pair: bytes, record: CuratedRecord) -> CuratedRecord:
            for other in spool.after(place, pair):
                if (other.width, other.height) != (record.width, record.height):
                    counts[OTHER_SIZE] += 1
                    continue
                counts[JOINED] += 1
                record = united(record, other)
            return record

        later = [spool.of_run(place) for place in range(1, len(runs))]
        yield from _merged([runs[0], *later], counts, join)
        del counts[REPEATED]  # nothing of them was left out


def _merged(
    runs: Sequence[Iterable[CuratedRecord]],
    counts: Counter[str],
    join: Callable[[int, bytes, CuratedRecord], CuratedRecord],
) -> Iterator[CuratedRecord]:
    pairs: set[bytes] = set()
    ids: set[bytes] = set()
    for place, run in enumerate(runs):
        own_pairs: set[bytes] = set()
        own_ids: set[bytes] = set()
        for record in run:
            pair = _pair(record)
            if pair in pairs:
                counts[REPEATED] += 1
                continue
            own_pairs.add(pair)
            written = whole = join(place, pair, record)
            number = place
            while _digest(written.record_id) in ids:
                number += 1
                written = _renamed(whole, f"~{number}")
            counts[RENAMED] += written is not whole
            own_ids.add(_digest(written.record_id))
            yield written
        pairs |= own_pairs
        ids |= own_ids


def _pair(record: CuratedRecord) -> bytes:
    return _digest(record.image_sha256 or record.image_uri, record.caption)


def _renamed(record: CuratedRecord, ending: str) -> CuratedRecord:
    boxes = tuple(replace(box, box_id=box.box_id + ending) for box in record.boxes)
    return replace(record, record_id=record.record_id + ending, boxes=boxes)


def _digest(*texts: str) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "replace"), digest_size=12).digest()
