"""Phrases with too few boxes: what a caption names and nothing, or too little, was boxed for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.curation.rules.filter_result import CODE_OF, LOW_OWN_SCORE, LOW_SCORE
from pipeline.trust.population import Labels
from pipeline.trust.signals import named_number
from pipeline.trust.suspects import Suspect

NEAR = 0.5
"""A phrase without a label whose best candidate reached this share of the lowest label's level is
probably there: the threshold took it."""
_BELOW = (CODE_OF[LOW_SCORE], CODE_OF[LOW_OWN_SCORE])


def missing_boxes(labels: Labels, lowest: float) -> Iterator[Suspect]:
    """The phrases of one table that lack boxes, with an empty `box_id`.

    Args:
        labels: of a policy.
        lowest: below it the policy keeps no label.
    """
    candidates = labels.candidates
    texts = candidates.phrases.text.to_pylist()
    boxed = np.bincount(candidates.phrase_of[labels.index], minlength=len(texts))
    row_of = np.repeat(np.arange(candidates.num_rows), np.diff(candidates.phrases.offsets))
    best = _best_below(labels, len(texts))
    record_ids = labels.table.column("record_id")
    for phrase in np.flatnonzero((boxed > 0) | (best > NEAR * lowest)).tolist():
        have, named = int(boxed[phrase]), named_number(texts[phrase])
        if have and named <= have:
            continue
        if have:
            score = 0.5 + 0.4 * (named - have) / named
            reason = f"the caption names {named}, {have} have a box"
        else:
            score = 0.4 + 0.5 * float(best[phrase]) / max(lowest, 1e-6)
            reason = (
                "the caption names it and nothing is boxed; the best candidate scores "
                f"{best[phrase]:.2f}"
            )
        yield Suspect(
            record_id=record_ids[int(row_of[phrase])].as_py(),
            box_id="",
            phrase=texts[phrase],
            queue_score=round(min(score, 0.9), 4),
            queue_reasons=(reason,),
        )


def _best_below(labels: Labels, number: int) -> np.ndarray:
    """For each phrase the best candidate that only the threshold took away; 0 of none, [P]."""
    below = np.flatnonzero(np.isin(labels.codes, _BELOW))
    best = np.zeros(number)
    np.maximum.at(best, labels.candidates.phrase_of[below], labels.candidates.scores[below])
    return best
