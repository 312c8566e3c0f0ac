"""What a stream of labels holds: counts by score, phrase, noun and status, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.curation.label_counts import MAX_BOXES_BIN, NUM_SCORE_BINS, LabelCounts
from pipeline.curation.rules.candidates import Ints, flat_list
from pipeline.curation.rules.phrase_rules import head_of
from schemas.records import PhraseStatus

TOP = 50
CAPACITY = 200_000

COLUMNS = (
    *("phrases.text", "phrases.head", "phrases.status", "phrases.best_score"),
    *("boxes.phrase_index", "boxes.score"),
)
"""What `LabelStats.add` needs of annotations, beside `status`."""


class TopCounter:
    """Counts of the most frequent of any number of keys, in bounded memory.

    When it is full every count goes down by as much as makes room (Misra and Gries 1982): a key
    with more than total / capacity occurrences is never lost; counts are then lower bounds.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._settled = _counts_table({})
        self._waiting: list[pa.Table] = []
        """Counts that were not added up yet: many are at once, in columns."""
        self.undercount = 0
        """How much a count may be too low; 0: all are exact."""

    def add(self, counts: Iterable[str] | Mapping[str, int]) -> None:
        """Count keys, or keys by number."""
        self.add_table(_counts_table(Counter(counts)))

    def add_table(self, counts: pa.Table) -> None:
        """Count keys by number, as `_counts_table` lays them out; a key may come several times."""
        self._waiting.append(counts)
        if sum(map(len, self._waiting)) > self._capacity:
            self._settle()

    def top(self, number: int = TOP) -> list[tuple[str, int]]:
        """The most frequent keys; at equal counts in the order of the alphabet."""
        by = [("number", "descending"), ("key", "ascending")]
        first = self._settle().sort_by(by).slice(0, number)
        return list(
            zip(*(first.column(name).to_pylist() for name in ("key", "number")), strict=True)
        )

    def merge(self, other: TopCounter) -> None:
        """Add another's counts."""
        self.undercount += other.undercount
        self.add_table(other._settle())

    def _settle(self) -> pa.Table:
        """Each key once, no more than there is room for."""
        if self._waiting:
            found = pa.concat_tables([self._settled, *self._waiting])
            # In this thread, so that the order is the same each time.
            grouped = found.group_by("key", use_threads=False).aggregate([("number", "sum")])
            settled = grouped.rename_columns({"number_sum": "number"}).select(["key", "number"])
            self._settled, self._waiting = self._with_room(settled), []
        return self._settled

    def _with_room(self, counts: pa.Table) -> pa.Table:
        numbers = counts.column("number").to_numpy()
        if len(numbers) <= self._capacity:
            return counts
        # As many decrements as make room: the greatest count that has to go.
        excess = int(np.partition(numbers, -self._capacity - 1)[-self._capacity - 1])
        self.undercount += excess
        left = counts.filter(pa.array(numbers > excess))
        return left.set_column(1, "number", pc.subtract(left.column("number"), excess))

    def __len__(self) -> int:
        return len(self._settle())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TopCounter):
            return NotImplemented
        numbers = (self._capacity, self.undercount) == (other._capacity, other.undercount)
        return numbers and self.top(len(self)) == other.top(len(other))


@dataclass(kw_only=True)
class LabelStats:
    """What a stream of pairs holds."""

    records: int = 0
    records_with_boxes: int = 0
    boxes: int = 0
    phrases: int = 0
    phrases_with_boxes: int = 0
    score_bins: list[int] = field(default_factory=lambda: [0] * NUM_SCORE_BINS)
    """Boxes by score, `NUM_SCORE_BINS` equal bins over [0, 1]."""
    boxes_per_record: list[int] = field(default_factory=lambda: [0] * (MAX_BOXES_BIN + 1))
    """Pairs by their number of boxes; the last bin holds all that have more."""
    phrase_statuses: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    phrase_texts: TopCounter = field(default_factory=TopCounter)
    """Lower-case texts of phrases with a box."""
    heads: TopCounter = field(default_factory=TopCounter)
    """Head nouns of phrases with a box."""
    not_found_bins: list[int] = field(default_factory=lambda: [0] * NUM_SCORE_BINS)
    """Phrases that were looked for and have no box, by the best score of any candidate."""

    def add(self, table: pa.Table) -> None:
        """Count a table of annotations or of curated rows, checked before."""
        if not table.num_rows:
            return
        offsets, boxes = flat_list(table, "boxes")
        first_phrase, phrases = flat_list(table, "phrases")
        per_row = np.diff(offsets)
        self.records += table.num_rows
        self.records_with_boxes += int((per_row > 0).sum())
        self.boxes += len(boxes)
        self.phrases += len(phrases)
        self.boxes_per_record = _plus(
            self.boxes_per_record, np.bincount(per_row.clip(max=MAX_BOXES_BIN))
        )
        self.score_bins = _plus(self.score_bins, _score_bins(boxes.field("score").to_numpy()))
        self.phrase_statuses.update(_counted(phrases.field("status")))
        if "status" in table.column_names:
            self.statuses.update(_counted(table.column("status")))
        named = np.zeros(len(phrases), dtype=bool)
        named[_named(boxes, np.repeat(first_phrase[:-1], per_row))] = True
        asked = pc.equal(phrases.field("status"), PhraseStatus.OK.value)
        lost = ~named & asked.to_numpy(zero_copy_only=False)
        best = phrases.field("best_score").to_numpy()[lost]
        self.not_found_bins = _plus(self.not_found_bins, _score_bins(best))
        self._add_phrases(phrases, np.flatnonzero(named))

    def _add_phrases(self, phrases: pa.StructArray, named: Ints) -> None:
        self.phrases_with_boxes += len(named)
        texts = phrases.field("text").take(pa.array(named))
        heads = phrases.field("head").take(pa.array(named))
        self.phrase_texts.add_table(_counted_lower(texts))
        self.heads.add_table(_counted_lower(heads.filter(pc.not_equal(heads, ""))))
        if pc.any(pc.equal(heads, "")).as_py():
            pairs = zip(heads.to_pylist(), texts.to_pylist(), strict=True)
            self.heads.add(head_of("", text) for head, text in pairs if not head)

    def merge(self, other: LabelStats) -> None:
        """Add the counts of another part of the stream."""
        for name, value in vars(other).items():
            own = getattr(self, name)
            if isinstance(own, TopCounter):
                own.merge(value)
            elif isinstance(own, Counter):
                own.update(value)
            elif isinstance(own, list):
                setattr(self, name, [a + b for a, b in zip(own, value, strict=True)])
            else:
                setattr(self, name, own + value)

    def counts(self) -> LabelCounts:
        """As files keep it."""
        plain: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, TopCounter):
                plain[name], plain[f"{name}_undercount"] = value.top(), value.undercount
            else:
                plain[name] = value
        return LabelCounts(**plain)


def label_stats(tables: Iterable[pa.Table]) -> LabelStats:
    """Statistics of tables of annotations or of curated rows."""
    stats = LabelStats()
    for table in tables:
        stats.add(table)
    return stats


def _named(boxes: pa.StructArray, first_phrase: Ints) -> Ints:
    """The phrases that boxes carry, counted over all pairs; a phrase may come several times."""
    if boxes.type.get_field_index("phrase_index") >= 0:
        return np.asarray(first_phrase + boxes.field("phrase_index").to_numpy())
    lists = boxes.field("phrase_indices")
    sizes = np.diff(lists.offsets.to_numpy())
    return np.asarray(np.repeat(first_phrase, sizes) + lists.flatten().to_numpy())


def _score_bins(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many scores fall into each of `NUM_SCORE_BINS`; 1 belongs to the last."""
    bins = np.multiply(scores, NUM_SCORE_BINS, dtype=np.float64).astype(np.int64)
    counts = np.bincount(bins, minlength=NUM_SCORE_BINS + 1)
    counts[-2] += counts[-1]
    return counts[:-1]


def _counted(strings: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    found = strings.value_counts()
    return dict(
        zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    )


def _counts_table(counts: Mapping[str, int]) -> pa.Table:
    keys, numbers = pa.array(counts.keys(), pa.string()), pa.array(counts.values(), pa.int64())
    return pa.table({"key": keys, "number": numbers})


def _counted_lower(strings: pa.Array) -> pa.Table:
    if pc.all(pc.string_is_ascii(strings)).as_py():
        found = pc.ascii_lower(strings).value_counts()
        return pa.table({"key": found.field("values"), "number": found.field("counts")})
    total: Counter[str] = Counter()  # beyond ASCII Python's rules and Arrow's differ
    for text, number in _counted(strings).items():
        total[text.lower()] += number
    return _counts_table(total)


def _plus(bins: list[int], counts: NDArray[np.int64]) -> list[int]:
    padded = np.zeros(len(bins), dtype=np.int64)
    padded[: len(counts)] = counts
    return [a + b for a, b in zip(bins, padded.tolist(), strict=True)]
