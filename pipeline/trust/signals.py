"""Signs that a label is wrong, from what is stored beside it: numbers over all labels at once.

Each sign is in [0, 1], 0 where nothing speaks against the label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import Candidates, Ints
from pipeline.curation.rules.overlap import IOU, Sides
from pipeline.trust.population import Labels
from pipeline.trust.usual import Usual, log_sizes, opinion
from schemas.grounder import TOGETHER

Floats = NDArray[np.float64]
SIGNS = ("doubt", "rival", "size", "place", "count", "alone", "clip", "stability")
"""doubt: low chance by its score. rival: another phrase fits here as well. size: unusual for its
noun. place: candidates that half agree. count: more boxes than the caption names. alone: of an
ensemble, the share of teachers that did not propose it. clip: CLIP sees less of the phrase than is
usual. stability: not found again in a changed image. The last two need their layers."""
SAME_PLACE, HALF_LOW, HALF_HIGH = 0.5, 0.2, 0.8
FAR = 4.0
"""Standard deviations from its noun's usual size, or below its usual CLIP, at which nothing more is
said."""
_NUMBERS = dict(
    zip(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        range(1, 11),
        strict=True,
    )
) | {"both": 2, "couple": 2, "pair": 2, "trio": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Signs of the labels of one table."""

    values: Floats
    """[L, len(SIGNS)]"""
    rival: Ints
    """[L], the candidate of another phrase that fits best here; -1: none."""
    named: Ints
    """[L], how many the phrase names; 0: it does not say."""
    boxed: Ints
    """[L], labels of that phrase."""
    larger: NDArray[np.bool_]
    """[L], whether it is larger than usual, or smaller."""


def named_number(phrase: str) -> int:
    """How many things a phrase names: 1 for `a dog`, 2 for `two dogs`; 0 where it does not say."""
    words = re.findall(r"\w+", phrase.lower())
    for word in words[:3]:
        if word in _NUMBERS:
            return _NUMBERS[word]
        if word.isdigit() and 0 < int(word) <= 20:
            return int(word)
    return 1 if words[:1] in (["a"], ["an"]) else 0


def signals(labels: Labels, chance: Floats, usual: Usual) -> Signals:
    """The signs of every label.

    Args:
        labels: of one table.
        chance: [L], of being right, by the score alone.
        usual: of the run.
    """
    values = np.zeros((len(labels), len(SIGNS)))
    values[:, 0] = 1 - chance
    rival, values[:, 1], values[:, 3] = _neighbours(labels)
    nouns = labels.nouns()
    away = usual.size.away(log_sizes(labels), nouns)
    values[:, 2] = np.clip(np.abs(away) / FAR, 0, 1) ** 2
    phrase = labels.candidates.phrase_of[labels.index]
    texts = labels.candidates.phrases.text.to_pylist()
    named_of = np.array(
        [0 if usual.is_class_list else named_number(text) for text in texts], dtype=np.int64
    )
    counts = np.bincount(phrase, minlength=len(texts))
    named, boxed = named_of[phrase], counts[phrase]
    over = np.where(named > 0, np.maximum(boxed - named, 0), 0)
    # Of three boxes for one thing the better ones are the likely ones.
    values[:, 4] = (over / np.maximum(boxed, 1)) * (1 - chance)
    values[:, 5] = _alone(labels)
    if (seen := opinion(labels, "clip")) is not None:
        values[:, 6] = np.clip(-usual.clip.away(seen, nouns) / FAR, 0, 1) ** 2
    if (again := opinion(labels, "stability")) is not None:
        values[:, 7] = 1 - np.clip(np.nan_to_num(again, nan=1.0), 0, 1)
    return Signals(values=values, rival=rival, named=named, boxed=boxed, larger=away > 0)


def _alone(labels: Labels) -> Floats:
    """For each label the share of the teachers that did not propose it; 0 where there is one."""
    proposed = labels.table.column("proposed_by").combine_chunks()
    if not len(labels) or not len(pc.list_flatten(proposed)):
        return np.zeros(len(labels))
    teachers = pc.count_substring(labels.table.column("teacher_id"), TOGETHER).to_numpy() + 1
    # A run has ensembles in all of its rows or in none; rows without a box list none either.
    names = pc.list_flatten(proposed).take(pa.array(labels.index))
    own = pc.count_substring(names, TOGETHER).to_numpy(zero_copy_only=False) + 1
    return np.asarray(1 - own / teachers[labels.candidates.row_of[labels.index]])


def _neighbours(labels: Labels) -> tuple[Ints, Floats, Floats]:
    """For each label: the best candidate of another phrase at its place, that one's score over its
    own, and the most that a candidate half agrees with it."""
    candidates = labels.candidates
    pair_of, other = _pairs(labels.index, candidates)
    own = labels.index[pair_of]
    overlap = IOU(Sides.of(candidates.boxes_at(own)), Sides.of(candidates.boxes_at(other)))
    weight = np.minimum(
        candidates.scores[other] / np.maximum(candidates.scores[own], 1e-6), 1.0
    ).astype(np.float64)
    same_phrase = candidates.phrase_of[own] == candidates.phrase_of[other]
    number = len(labels)
    rival_share, rival = np.zeros(number), np.full(number, -1, np.int64)
    at_place = (overlap > SAME_PLACE) & ~same_phrase
    # Written from the weakest on, so that the strongest stands.
    order = np.argsort(weight[at_place], kind="stable")
    places = pair_of[at_place][order]
    rival[places] = other[at_place][order]
    rival_share[places] = weight[at_place][order]
    half = np.where((overlap > HALF_LOW) & (overlap < HALF_HIGH), weight, 0.0)
    place = np.zeros(number)
    np.maximum.at(place, pair_of, half)
    # A candidate that fully agrees speaks for the place.
    agrees = np.zeros(number)
    np.maximum.at(agrees, pair_of, np.where(overlap >= HALF_HIGH, weight, 0.0))
    return rival, rival_share, np.maximum(place - agrees, 0.0)


def _pairs(index: Ints, candidates: Candidates) -> tuple[Ints, Ints]:
    """Each label beside every other candidate of its pair: place of the label, the candidate."""
    rows = candidates.row_of[index]
    starts = candidates.box_offsets[rows]
    sizes = candidates.box_offsets[rows + 1] - starts
    pair_of = np.repeat(np.arange(len(index)), sizes)
    other = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + starts[pair_of]
    keep = other != index[pair_of]
    return pair_of[keep], other[keep]
