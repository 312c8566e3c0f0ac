"""The labels that a statement is about, in their fixed order: unit, row, box.

A label is a candidate that the policy keeps, itself or merged onto another. Its level is the
greatest threshold below which it stays: its score, or less where the policy wants several boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import COLUMNS, Candidates, Ints, candidates_of
from pipeline.curation.rules.filter_result import FilterOutcome
from pipeline.curation.rules.filters import filter_candidates
from pipeline.curation.rules.layer_scores import LayerScores, load_layer_scores
from pipeline.curation.rules.phrase_rules import phrase_heads
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.columns import unit_tables
from pipeline.run.store import RunStore
from schemas.plan import UnitCommit

READ = (*COLUMNS, "boxes.box_id", "proposed_by", "teacher_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of one table of annotations, in their order."""

    table: pa.Table
    candidates: Candidates
    index: Ints
    """[L], which candidates they are."""
    level: NDArray[np.float32]
    """[L]"""
    codes: NDArray[np.uint8]
    """[N], of every candidate: places in `filter_result.REASONS`."""

    def __len__(self) -> int:
        return len(self.index)

    def nouns(self) -> list[str]:
        """Head noun of each label's phrase."""
        numbers, nouns = phrase_heads(self.candidates.phrases)
        return [nouns[n] for n in numbers[self.candidates.phrase_of[self.index]].tolist()]


def table_labels(
    table: pa.Table, policy: FilterPolicy, layers: LayerScores | None = None
) -> Labels:
    """The labels that a policy without `min_precision` keeps of a table."""
    candidates = candidates_of(table)
    if layers is not None:
        candidates = layers.beside(candidates, table)
    outcome = filter_candidates(candidates, policy)
    passes = (outcome.codes <= 1) & (outcome.image_codes[candidates.row_of] == 0)
    index = np.flatnonzero(passes)
    level = outcome.scores[index]
    if policy.min_boxes > 1:
        level = np.minimum(level, _row_levels(candidates, outcome, policy)[index])
    return Labels(table=table, candidates=candidates, index=index, level=level, codes=outcome.codes)


def unit_labels(
    run: RunStore, policy: FilterPolicy, commit: UnitCommit, *, also: Sequence[str] = ()
) -> Iterator[Labels]:
    """The labels of one unit; `also` names columns of layers that stand beside the candidates.

    Raises:
        DataError: a file breaks the contract.
        ConfigError: the policy needs what the run does not have.
    """
    layers = load_layer_scores(run, [policy], [commit], also=also)
    for table in unit_tables(run, commit, READ):
        yield table_labels(table, policy, layers)


def _row_levels(
    candidates: Candidates, outcome: FilterOutcome, policy: FilterPolicy
) -> NDArray[np.float32]:
    """For each candidate the score of its pair's `min_boxes`-th best label: with a threshold from
    there on the whole pair goes."""
    kept = outcome.labels(candidates)
    rows = candidates.row_of[kept]
    starts = np.searchsorted(rows, np.arange(candidates.num_rows))
    sizes = np.bincount(rows, minlength=candidates.num_rows)
    has = sizes >= policy.min_boxes
    levels = np.zeros(candidates.num_rows, dtype=np.float32)
    levels[has] = outcome.scores[kept[starts[has] + policy.min_boxes - 1]]
    return levels[candidates.row_of]
