"""Several runs as one stream: a pair that an earlier run has is taken from it alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from schemas.records import CuratedRecord

REPEATED = "pair that an earlier run has (same image and caption)"
RENAMED = "record id that an earlier run has for another pair: it got a number"


def merged_records(
    runs: Sequence[Iterable[CuratedRecord]], counts: Counter[str]
) -> Iterator[CuratedRecord]:
    """The records of all runs, in their order; the first run to have a pair is the one believed.

    A pair is known by the bytes of its image (where the run has their hash, else by its address)
    and its caption. Within one run nothing is joined. Record and box ids stay unique.
    """
    if len(runs) == 1:
        yield from runs[0]
        return
    pairs: set[bytes] = set()
    ids: set[bytes] = set()
    for place, run in enumerate(runs):
        own_pairs: set[bytes] = set()
        own_ids: set[bytes] = set()
        for record in run:
            pair = _digest(record.image_sha256 or record.image_uri, record.caption)
            if pair in pairs:
                counts[REPEATED] += 1
                continue
            own_pairs.add(pair)
            written = record
            number = place
            while _digest(written.record_id) in ids:
                number += 1
                written = _renamed(record, f"~{number}")
            counts[RENAMED] += written is not record
            own_ids.add(_digest(written.record_id))
            yield written
        pairs |= own_pairs
        ids |= own_ids


def _renamed(record: CuratedRecord, ending: str) -> CuratedRecord:
    boxes = tuple(replace(box, box_id=box.box_id + ending) for box in record.boxes)
    return replace(record, record_id=record.record_id + ending, boxes=boxes)


def _digest(*texts: str) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "replace"), digest_size=12).digest()
