"""What a stream of labels holds, as files keep it: checked whenever one is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from schemas.checked import STRICT
from schemas.counts import Counts, Name, Number

NUM_SCORE_BINS = 20
MAX_BOXES_BIN = 50

ScoreBins = Annotated[list[Number], Field(min_length=NUM_SCORE_BINS, max_length=NUM_SCORE_BINS)]
BoxesBins = Annotated[
    list[Number], Field(min_length=MAX_BOXES_BIN + 1, max_length=MAX_BOXES_BIN + 1)
]
Ranking = list[tuple[Name, Number]]
"""The most frequent first."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """What a stream of pairs holds; the fields of `LabelStats`, of the frequent keys the first."""

    records: Number
    records_with_boxes: Number
    boxes: Number
    phrases: Number
    phrases_with_boxes: Number
    score_bins: ScoreBins
    """Boxes by score, equal bins over [0, 1]."""
    boxes_per_record: BoxesBins
    """Pairs by their number of boxes; the last bin holds all that have more."""
    phrase_statuses: Counts
    statuses: Counts
    phrase_texts: Ranking
    """Lower-case texts of phrases with a box."""
    phrase_texts_undercount: Number
    """How much a count may be too low; 0: all are exact."""
    heads: Ranking
    """Head nouns of phrases with a box."""
    heads_undercount: Number
    not_found_bins: ScoreBins
    """Phrases that were looked for and have no box, by the best score of any candidate."""
