"""Several policies over one run, side by side: what each keeps and drops, and how far they agree.

Nothing is written and decisions of people play no part: it is about the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.batch import in_batches
from pipeline.curation.calibration import precision_threshold
from pipeline.curation.rules import layer_scores
from pipeline.curation.rules.candidates import COLUMNS, candidates_of
from pipeline.curation.rules.filter_result import BOX_REASONS, IMAGE_REASONS, DropCounts
from pipeline.curation.rules.filters import filter_candidates
from pipeline.curation.rules.layer_scores import load_layer_scores
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import require_columns
from pipeline.report.charts import histogram
from pipeline.report.template import fill
from pipeline.run.columns import unit_tables
from pipeline.run.map_units import Mapper, map_run, num_workers
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.plan import UnitCommit

NUM_SCORE_BINS = 20


@dataclass(kw_only=True)
class PolicyComparison:
    """The same candidates under each of some policies."""

    policy_ids: tuple[str, ...]
    drops: list[DropCounts] = field(default_factory=list)
    """One a policy."""
    both: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """[A, B], candidates that A and B both keep, themselves or merged onto another; the diagonal
    is what one keeps."""
    pairs_both: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """Likewise pairs."""
    score_bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """[A, 20], kept candidates by score in equal bins over [0, 1]."""

    def __post_init__(self) -> None:
        number = len(self.policy_ids)
        if not self.drops:
            self.drops = [DropCounts() for _ in self.policy_ids]
            self.both = np.zeros((number, number), np.int64)
            self.pairs_both = np.zeros((number, number), np.int64)
            self.score_bins = np.zeros((number, NUM_SCORE_BINS), np.int64)

    def merge(self, other: PolicyComparison) -> None:
        """Add the counts of another part of the run."""
        for own, more in zip(self.drops, other.drops, strict=True):
            own.merge(more)
        self.both += other.both
        self.pairs_both += other.pairs_both
        self.score_bins += other.score_bins

    def overlap(self, a: int, b: int) -> float:
        """Candidates that both keep over those that either keeps; NaN where neither keeps any."""
        either = self.both[a, a] + self.both[b, b] - self.both[a, b]
        return float(self.both[a, b] / either) if either else float("nan")

    def reasons(self) -> list[str]:
        """The reasons that some policy gave, in the order of the rules."""
        given = {reason for drops in self.drops for reason, n in drops.boxes_dropped.items() if n}
        return [reason for reason in (*BOX_REASONS, *IMAGE_REASONS) if reason in given]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `overlap` is null where neither policy keeps anything."""
        numbers = range(len(self.policy_ids))
        overlaps = [[self.overlap(a, b) for b in numbers] for a in numbers]
        return {
            "policies": [
                {"policy_id": policy_id, **vars(drops)}
                for policy_id, drops in zip(self.policy_ids, self.drops, strict=True)
            ],
            "kept_by_both": self.both.tolist(),
            "pairs_kept_by_both": self.pairs_both.tolist(),
            "overlap": [[_share(v) for v in row] for row in overlaps],
        }


def compare_policies(
    run: RunStore,
    policies: Sequence[FilterPolicy],
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda done: None,
    mapper: Mapper = map_run,
) -> PolicyComparison:
    """Apply every policy to every candidate of the run, in one pass.

    Raises:
        ConfigError: fewer than two policies, or two that are the same.
        DataError: a file breaks the contract.
    """
    total = _empty(policies)
    if len(set(total.policy_ids)) < max(2, len(policies)):
        raise ConfigError(
            "policy: a comparison needs two or more policies that differ, got "
            f"{', '.join(total.policy_ids) or 'none'}"
        )
    shared = tuple((policy, precision_threshold(run, policy)[0]) for policy in policies)
    require_columns(run, [name for policy in policies for name in policy.layer_columns()])
    commits = list(run.commits().values())
    batches = in_batches(commits)
    pool = num_workers(sum(c.rows_out for c in commits), len(batches), workers)
    for part in mapper(run, _compare_batch, batches, shared, workers=pool):
        total.merge(part)
        progress(total.drops[0].records)
    return total


def _empty(policies: Sequence[FilterPolicy]) -> PolicyComparison:
    return PolicyComparison(policy_ids=tuple(policy.policy_id for policy in policies))


def _compare_batch(
    run: RunStore,
    policies: tuple[tuple[FilterPolicy, float | None], ...],
    commits: tuple[UnitCommit, ...],
) -> PolicyComparison:
    part = _empty([policy for policy, _ in policies])
    layers = load_layer_scores(run, [policy for policy, _ in policies], commits)
    for commit in commits:
        for table in unit_tables(run, commit, (*COLUMNS, *layer_scores.COLUMNS)):
            found = layers.beside(candidates_of(table), table)
            kept = np.zeros((len(policies), found.num_boxes), dtype=bool)
            pairs = np.zeros((len(policies), found.num_rows), dtype=bool)
            for number, (policy, threshold) in enumerate(policies):
                outcome = filter_candidates(found, policy, precision_threshold=threshold)
                part.drops[number].add(found, outcome)
                pairs[number] = outcome.image_codes == 0
                kept[number] = (outcome.codes <= 1) & pairs[number][found.row_of]
                bins = (outcome.scores[kept[number]].astype(np.float64) * NUM_SCORE_BINS).astype(
                    np.int64
                )
                part.score_bins[number] += np.bincount(
                    bins.clip(max=NUM_SCORE_BINS - 1), minlength=NUM_SCORE_BINS
                )
            for a in range(len(policies)):
                part.both[a] += (kept & kept[a]).sum(axis=1)
                part.pairs_both[a] += (pairs & pairs[a]).sum(axis=1)
    return part


def comparison_page(found: PolicyComparison, *, title: str) -> str:
    """A self-contained HTML page: kept candidates by score, what each rule dropped, overlap."""
    names = list(found.policy_ids)
    numbers = range(len(names))
    series = [(n, bins.tolist()) for n, bins in zip(names, found.score_bins, strict=True)]
    return fill(
        "policies",
        title=title,
        names=names,
        by_score=histogram(
            series, low=0, high=1, title="kept candidates by score", x_label="score"
        ),
        rows=[
            ("kept boxes", [drops.boxes_kept for drops in found.drops]),
            ("merged onto another", [drops.boxes_merged for drops in found.drops]),
            ("kept pairs", [drops.records_kept for drops in found.drops]),
            *((r, [-drops.boxes_dropped[r] for drops in found.drops]) for r in found.reasons()),
        ],
        overlaps=[
            (name, [_share(found.overlap(a, b)) for b in numbers]) for a, name in enumerate(names)
        ],
    )


def _share(value: float) -> float | None:
    return None if value != value else value
