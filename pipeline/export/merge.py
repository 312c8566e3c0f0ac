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

from pipeline.export.gold_facts import facts_of
from pipeline.export.union import Spool, united
from pipeline.gold.gold_set import ImageFacts
from schemas.records import CuratedRecord

REPEATED = "pair that an earlier run has (same image and caption)"
JOINED = "pair of another run joined with its boxes"
OTHER_SIZE = "pair of another run whose image has another size there: the first run's boxes stay"
LEFT_CROWD = "region to ignore that a later run has for a pair (--merge-rule union keeps it)"
LEFT_STATED = "licence or address that a later run has for a pair (--merge-rule union keeps it)"
LEFT_OUT = (REPEATED, LEFT_CROWD, LEFT_STATED)
RENAMED = "record id that an earlier run has for another pair: it got a number"


def merged_records(
    runs: Sequence[Iterable[CuratedRecord]],
    counts: Counter[str],
    rule: Literal["first", "union"] = "first",
) -> Iterator[CuratedRecord]:
    """The records of all runs, in their order.

    A pair is known by the bytes of its image (where the run has their hash, else by its address)
    and its caption. `first`: the first run to have it is the one believed; regions to ignore,
    licences and addresses that later runs have besides are counted. `union`: it has the boxes and
    regions of all, see `united`; the later runs then wait on the disk. Within one run nothing is
    joined. Record and box ids stay unique.
    """
    if len(runs) == 1:
        yield from runs[0]
    elif rule == "first":
        known = _KnownFacts(counts)
        yield from _merged(runs, counts, known.keep, known.leave)
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
                    counts[LEFT_CROWD] += len(facts_of(other).crowds)
                    continue
                counts[JOINED] += 1
                record = united(record, other, counts)
            return record

        later = [spool.of_run(place) for place in range(1, len(runs))]
        yield from _merged([runs[0], *later], counts, join)
        del counts[REPEATED]  # nothing of them was left out


def _merged(
    runs: Sequence[Iterable[CuratedRecord]],
    counts: Counter[str],
    join: Callable[[int, bytes, CuratedRecord], CuratedRecord],
    leave: Callable[[bytes, CuratedRecord], None] = lambda pair, record: None,
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
                leave(pair, record)
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


class _KnownFacts:
    """What is said of the images of the pairs that are kept, each as a hash."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._known: set[bytes] = set()

    def keep(self, place: int, pair: bytes, record: CuratedRecord) -> CuratedRecord:
        """Take the facts of a record that is written."""
        self._known.update(key for key, _ in self._keys(pair, facts_of(record)))
        return record

    def leave(self, pair: bytes, record: CuratedRecord) -> None:
        """Count what the record of a later run says besides."""
        for key, reason in self._keys(pair, facts_of(record)):
            if key not in self._known:
                self._known.add(key)
                self._counts[reason] += 1

    def _keys(self, pair: bytes, facts: ImageFacts) -> Iterator[tuple[bytes, str]]:
        stated = (facts.license, facts.license_url), (facts.coco_url,), (facts.flickr_url,)
        for place, texts in enumerate(stated):
            if any(texts):
                yield _digest(pair.hex(), str(place), *texts), LEFT_STATED
        for crowd in facts.crowds:
            yield _digest(pair.hex(), crowd.category, repr(crowd.xyxy)), LEFT_CROWD


def _pair(record: CuratedRecord) -> bytes:
    return _digest(record.image_sha256 or record.image_uri, record.caption)


def _renamed(record: CuratedRecord, ending: str) -> CuratedRecord:
    boxes = tuple(replace(box, box_id=box.box_id + ending) for box in record.boxes)
    return replace(record, record_id=record.record_id + ending, boxes=boxes)


def _digest(*texts: str) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "replace"), digest_size=12).digest()
