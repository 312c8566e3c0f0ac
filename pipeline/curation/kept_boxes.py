"""Which candidates a policy keeps, by id: for what shows rows and not columns."""

from __future__ import annotations

import numpy as np

from pipeline.curation.calibration import precision_threshold
from pipeline.curation.rules import layer_scores
from pipeline.curation.rules.candidates import COLUMNS, candidates_of, flat_list
from pipeline.curation.rules.filters import filter_candidates
from pipeline.curation.rules.layer_scores import load_layer_scores
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import require_columns
from pipeline.run.columns import unit_tables
from pipeline.run.store import RunStore


def kept_box_ids(
    run: RunStore, policy: FilterPolicy, *, min_score: float = 0.0
) -> dict[str, frozenset[str]]:
    """record_id -> the boxes that a policy keeps, also those it merges onto others; pairs that it
    leaves out are not there.

    Args:
        run: with the layers that the policy reads.
        policy: the rules.
        min_score: of the teacher, on top of the rules.

    Raises:
        ConfigError: the policy needs a layer or a calibration that the run does not have.
    """
    require_columns(run, policy.layer_columns())
    threshold, _ = precision_threshold(run, policy)
    found: dict[str, frozenset[str]] = {}
    for commit in run.commits().values():
        layers = load_layer_scores(run, [policy], [commit])
        for table in unit_tables(run, commit, (*COLUMNS, *layer_scores.COLUMNS)):
            candidates = layers.beside(candidates_of(table), table)
            outcome = filter_candidates(candidates, policy, precision_threshold=threshold)
            passes = (outcome.codes <= 1) & (candidates.scores >= np.float32(min_score))
            box_ids = np.asarray(flat_list(table, "boxes")[1].field("box_id").to_pylist(), object)
            records = table.column("record_id").to_pylist()
            for row in np.flatnonzero(outcome.image_codes == 0).tolist():
                inside = slice(candidates.box_offsets[row], candidates.box_offsets[row + 1])
                found[records[row]] = frozenset(box_ids[inside][passes[inside]].tolist())
    return found
