"""Statistics of a run and of its curations, merged into RUN/stats.json. Constant memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.curation.curate import read_curate_stats, read_curated_file
from pipeline.curation.filters import phrase_head
from pipeline.run.map_units import map_run, num_workers
from pipeline.run.open import annotations_id, unit_annotations
from pipeline.run.store import RunStore
from pipeline.run.totals import RunTotals
from pipeline.storage.files import exists, read_bytes, write_bytes
from schemas.checked import to_plain
from schemas.errors import DataError
from schemas.plan import UnitCommit
from schemas.records import Annotation, CuratedBox, CuratedRecord

FILE = "stats.json"
STATS_VERSION = 1
NUM_SCORE_BINS = 20
MAX_BOXES_BIN = 50
TOP = 50
CAPACITY = 200_000


class TopCounter:
    """Counts of the most frequent of any number of keys, in bounded memory.

    When it is full every count goes down by one (Misra and Gries 1982): a key with more than
    total / capacity occurrences is never lost; counts are then lower bounds.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._counts: Counter[str] = Counter()
        self.undercount = 0
        """How much a count may be too low; 0: all are exact."""

    def add(self, key: str) -> None:
        """Count one occurrence."""
        self._counts[key] += 1
        if len(self._counts) > self._capacity:
            self.undercount += 1
            self._counts = Counter({k: n - 1 for k, n in self._counts.items() if n > 1})

    def top(self, number: int = TOP) -> list[tuple[str, int]]:
        """The most frequent keys; at equal counts in the order of the alphabet."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:number]

    def merge(self, other: TopCounter) -> None:
        """Add another's counts."""
        self._counts.update(other._counts)
        self.undercount += other.undercount
        if len(self._counts) > self._capacity:
            # As many decrements as make room: the greatest count that has to go.
            excess = sorted(self._counts.values(), reverse=True)[self._capacity]
            self.undercount += excess
            self._counts = Counter({k: n - excess for k, n in self._counts.items() if n > excess})

    def __len__(self) -> int:
        return len(self._counts)


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

    def add(self, row: Annotation | CuratedRecord) -> None:
        """Count one pair."""
        self.records += 1
        self.records_with_boxes += bool(row.boxes)
        self.boxes += len(row.boxes)
        self.phrases += len(row.phrases)
        self.boxes_per_record[min(len(row.boxes), MAX_BOXES_BIN)] += 1
        self.phrase_statuses.update(phrase.status.value for phrase in row.phrases)
        if isinstance(row, Annotation):
            self.statuses[row.status.value] += 1
        named: set[int] = set()
        for box in row.boxes:
            self.score_bins[min(int(box.score * NUM_SCORE_BINS), NUM_SCORE_BINS - 1)] += 1
            named.update(box.phrase_indices if isinstance(box, CuratedBox) else (box.phrase_index,))
        self.phrases_with_boxes += len(named)
        for index in sorted(named):
            self.phrase_texts.add(row.phrases[index].text.lower())
            self.heads.add(phrase_head(row.phrases[index]))

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

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return vars(self) | {
            "phrase_texts": self.phrase_texts.top(),
            "phrase_texts_undercount": self.phrase_texts.undercount,
            "heads": self.heads.top(),
            "heads_undercount": self.heads.undercount,
        }


def label_stats(rows: Iterable[Annotation | CuratedRecord]) -> LabelStats:
    """Statistics of annotations or of curated records."""
    stats = LabelStats()
    for row in rows:
        stats.add(row)
    return stats


def merge_stats(
    run: RunStore,
    policy_ids: Sequence[str] = (),
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda d: None,
) -> dict[str, Any]:
    """Bring RUN/stats.json up to date with the run and these curations; returns its content.

    What is there and still true is kept: the annotations are read again only when more of them
    were committed, a curation when its files changed.

    Raises:
        DataError: a file breaks the contract.
    """
    old = read_stats(run) or {}
    current = annotations_id(run)
    content: dict[str, Any] = {
        "version": STATS_VERSION,
        "annotations_id": current,
        "is_complete": run.is_complete(),
        "commits": _commit_totals(run),
        "policies": {},
    }
    if old.get("annotations_id") == current:
        content["annotations"] = old["annotations"]
        content["policies"] = dict(old["policies"])
    else:
        commits = list(run.commits().values())
        rows = sum(commit.rows_out for commit in commits)
        content["annotations"] = _merged(
            map_run(
                run, _unit_stats, commits, None, workers=num_workers(rows, len(commits), workers)
            ),
            progress,
        )
    for policy_id in policy_ids:
        done = read_curate_stats(run, policy_id)
        made_of = [entry["sha256"] for entry in done.files]
        known = content["policies"].get(policy_id, {})
        if known.get("made_of") != made_of or known.get("decisions_id") != done.decisions_id:
            pool = num_workers(done.records_out, len(done.files), workers)
            parts = map_run(run, _curated_stats, done.files, policy_id, workers=pool)
            content["policies"][policy_id] = {
                "made_of": made_of,
                "decisions_id": done.decisions_id,
                "drops": vars(done.drops),
                "decisions_applied": done.decisions_applied,
                "records_decided": done.records_decided,
                "boxes_by_origin": done.boxes_out,
                "labels": _merged(parts, progress),
            }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(run.url(FILE), text.encode())
    return dict(json.loads(text))


def _unit_stats(run: RunStore, shared: None, commit: UnitCommit) -> LabelStats:
    return label_stats(unit_annotations(run, commit))


def _curated_stats(run: RunStore, policy_id: str, entry: Mapping[str, Any]) -> LabelStats:
    return label_stats(read_curated_file(run, policy_id, entry))


def _merged(parts: Iterable[LabelStats], progress: Callable[[int], object]) -> dict[str, Any]:
    total = LabelStats()
    for part in parts:
        total.merge(part)
        progress(total.records)
    return total.to_dict()


def read_stats(run: RunStore) -> dict[str, Any] | None:
    """The content of RUN/stats.json; None where there is none of this version.

    Raises:
        DataError: the file is not JSON.
    """
    if not exists(run.url(FILE)):
        return None
    try:
        content = json.loads(read_bytes(run.url(FILE)))
    except ValueError as error:
        raise DataError(f"{FILE} is not JSON ({error}); delete it, it is made again") from error
    return dict(content) if content.get("version") == STATS_VERSION else None


def _commit_totals(run: RunStore) -> dict[str, Any]:
    commits = run.commits()
    found: dict[str, Any] = to_plain(RunTotals.of(commits[unit] for unit in sorted(commits)))
    return found
