"""One pair labelled twice: the labels of both, each box once."""

from __future__ import annotations

import pickle
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.export.gold_facts import SAME_IOU, facts_of, joined_facts, with_facts
from schemas.boxes import pairwise_iou
from schemas.records import CuratedBox, CuratedRecord, Phrase, PhraseStatus

_BY_TEACHER = "teacher"


def united(
    first: CuratedRecord, other: CuratedRecord, counts: Counter[str] | None = None
) -> CuratedRecord:
    """`first` with what `other` has besides.

    Phrases are those of both, by their place in the caption. Of two boxes of one phrase with an IoU
    of 0.5 or more one stays: the one that a person made, else the one of `first`; a box that two
    phrases share loses only the phrase that has its box already. Licences and regions to ignore
    are joined as `joined_facts` says; `counts` takes what it counts.
    """
    phrases = list(first.phrases)
    place_of = {(phrase.start, phrase.end): place for place, phrase in enumerate(phrases)}
    moved = []
    for phrase in other.phrases:
        span = phrase.start, phrase.end
        if span in place_of:
            own = phrases[place_of[span]]
            phrases[place_of[span]] = _one_phrase(own, phrase)
        else:
            place_of[span] = len(phrases)
            phrases.append(phrase)
        moved.append(place_of[span])
    mark = "+"
    while any(f"#{mark}" in box.box_id for box in first.boxes):
        mark += "+"
    theirs = [
        replace(
            box,
            box_id=f"{first.record_id}#{mark}{box.box_id.rpartition('#')[2]}",
            phrase_indices=tuple(sorted({moved[place] for place in box.phrase_indices})),
        )
        for box in other.boxes
    ]
    both = [(0, box) for box in first.boxes] + [(1, box) for box in theirs]
    both.sort(key=lambda one: one[1].origin == _BY_TEACHER)  # stable: `first` before `other`
    kept: list[tuple[int, CuratedBox]] = []
    for side, box in both:
        rivals = [one for its, one in kept if its != side]
        left = tuple(place for place in box.phrase_indices if not _has(rivals, box, place))
        if left:
            kept.append((side, replace(box, phrase_indices=left)))
    boxes = [box for _, box in sorted(kept, key=lambda one: one[0])]
    counts = Counter() if counts is None else counts
    first = with_facts(first, joined_facts(facts_of(first), facts_of(other), counts))
    return replace(
        first,
        phrases=tuple(phrases),
        boxes=tuple(boxes),
        teacher_id=_joined(first.teacher_id, other.teacher_id),
        policy_id=_joined(first.policy_id, other.policy_id),
    )


class Spool:
    """The records of later runs on disk, by their pair: memory does not grow with them."""

    def __init__(self, folder: Path) -> None:
        self._base = sqlite3.connect(folder / "pairs.sqlite")
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("PRAGMA synchronous = OFF")
        self._base.execute("CREATE TABLE pairs (place INTEGER, pair BLOB, record BLOB)")

    def fill(self, place: int, records: Iterable[tuple[bytes, CuratedRecord]]) -> None:
        """Take the records of a run, with their pairs."""
        rows = ((place, pair, pickle.dumps(record)) for pair, record in records)
        self._base.executemany("INSERT INTO pairs VALUES (?, ?, ?)", rows)
        self._base.execute("CREATE INDEX IF NOT EXISTS by_pair ON pairs (pair)")

    def of_run(self, place: int) -> Iterator[CuratedRecord]:
        """The records of a run in their order."""
        query = "SELECT record FROM pairs WHERE place = ? ORDER BY rowid"
        return (pickle.loads(row[0]) for row in self._base.execute(query, (place,)))

    def after(self, place: int, pair: bytes) -> list[CuratedRecord]:
        """What the runs behind a run have for a pair."""
        query = "SELECT record FROM pairs WHERE pair = ? AND place > ? ORDER BY rowid"
        return [pickle.loads(row[0]) for row in self._base.execute(query, (pair, place))]

    def close(self) -> None:
        """Let the file go."""
        self._base.close()


def _has(boxes: list[CuratedBox], box: CuratedBox, place: int) -> bool:
    rivals = [one.xyxy for one in boxes if place in one.phrase_indices]
    return bool(rivals) and bool((pairwise_iou([box.xyxy], rivals) >= SAME_IOU).any())


def _one_phrase(own: Phrase, other: Phrase) -> Phrase:
    statuses = {own.status, other.status}
    status = own.status if len(statuses) == 1 else PhraseStatus.OK
    for careful in (PhraseStatus.DOUBTED, PhraseStatus.DROPPED):
        if careful in statuses:
            status = careful
            break
    best = max(own.best_score, other.best_score)
    return replace(own, status=status, best_score=best, head=own.head or other.head)


def _joined(own: str, other: str) -> str:
    names = own.split(" + ")
    return own if other in names else f"{own} + {other}"
