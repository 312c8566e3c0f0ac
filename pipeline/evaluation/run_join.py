"""Joins the labels of a record to its gold sample: which phrase is which phrase or category."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.rules.phrase_rules import phrase_head
from pipeline.evaluation.gold_index import JoinCounts, JoinedPair, LabelledPair
from pipeline.evaluation.phrase_recall import GoldPhrase, PhraseImage, gold_phrases
from pipeline.evaluation.synonyms import BUILT_IN, Synonyms
from pipeline.gold.checks import clean_name
from pipeline.gold.gold_set import GoldSet
from schemas.boxes import as_boxes
from schemas.records import CuratedRecord, Phrase, Span, TrainingSample

MIN_SPAN_OVERLAP = 0.5
"""Characters in common over characters in either: below it two phrases are different ones."""


def phrase_image(pair: JoinedPair, counts: JoinCounts) -> PhraseImage:
    """Gold phrases of a caption, with the run's boxes for the phrase that means the same."""
    phrases = gold_phrases(pair.sample)
    offered = pair.record.phrases
    used: set[int] = set()
    named, ranked = [], []
    for phrase in phrases:
        best = same_phrase(phrase.span, offered)
        exact = best is not None and (offered[best].start, offered[best].end) == phrase.span
        counts.gold_phrases += 1
        counts.phrases_exact += exact
        counts.phrases_overlapping += best is not None and not exact
        counts.phrases_missed += best is None
        noun = _last_word(pair.sample, phrase) if best is None else phrase_head(offered[best])
        named.append(replace(phrase, noun=noun))
        ranked.append(_boxes_of(pair.record, () if best is None else (best,)))
        used.update(() if best is None else (best,))
    counts.labels_elsewhere += _labels_outside(pair.record, used)
    return PhraseImage(phrases=tuple(named), ranked=tuple(ranked))


def category_image(
    pair: JoinedPair, gold: GoldSet, counts: JoinCounts, synonyms: Synonyms = BUILT_IN
) -> PhraseImage:
    """For detection gold: categories that the caption names, with the boxes of those phrases."""
    categories = np.asarray(gold.box_categories[pair.sample.sample_id], dtype=np.int64)
    boxes = as_boxes(pair.sample.boxes)
    taken = {clean_name(name).lower() for name in gold.categories}
    used: set[int] = set()
    phrases, ranked = [], []
    for category in np.unique(categories):
        name = gold.categories[category]
        plain = {n for n, one in enumerate(pair.record.phrases) if names_category(one, name)}
        other = {
            n
            for n, one in enumerate(pair.record.phrases)
            if means_category(one, name, synonyms, taken)
        }
        naming = sorted(plain | other)
        counts.phrases_by_synonym += len(other - plain)
        if naming:
            first = pair.record.phrases[naming[0]]
            phrases.append(
                GoldPhrase(
                    span=(first.start, first.end),
                    xyxy=boxes[categories == category],
                    noun=name,
                )
            )
            ranked.append(_boxes_of(pair.record, naming))
            used.update(naming)
    counts.gold_phrases += len(phrases)
    counts.phrases_exact += len(phrases)
    counts.labels_elsewhere += _labels_outside(pair.record, used)
    return PhraseImage(phrases=tuple(phrases), ranked=tuple(ranked))


def names_category(phrase: Phrase, category: str) -> bool:
    """True where the phrase is about the category: its head noun ends the name, and every other
    word of the name is in the phrase ("the old dining table" names "dining table")."""
    name = clean_name(category).lower().split()
    words = set(re.findall(r"\w+", phrase.text.lower()))
    return name[-1:] == [phrase_head(phrase)] and words.issuperset(name[:-1])


def means_category(
    phrase: Phrase, category: str, synonyms: Synonyms, taken: Collection[str]
) -> bool:
    """True where the phrase's head noun is another word for the category, and not the name of a
    category of its own (`taken`)."""
    head = phrase_head(phrase)
    return head not in taken and head in synonyms.get(clean_name(category).lower(), ())


def all_boxes(record: LabelledPair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every box of a record [K, 4] and its score [K]."""
    return (
        as_boxes([box.xyxy for box in record.boxes]),
        np.array([box.score for box in record.boxes], dtype=np.float64),
    )


def _boxes_of(record: LabelledPair, phrases: Sequence[int]) -> NDArray[np.float64]:
    """Boxes that carry one of the phrases, best first."""
    carries = [bool(set(of_box) & set(phrases)) for of_box in _phrases_of(record)]
    boxes, scores = all_boxes(record)
    own = np.flatnonzero(carries)
    return boxes[own[np.argsort(-scores[own], kind="stable")]]


def _phrases_of(record: LabelledPair) -> list[tuple[int, ...]]:
    if isinstance(record, CuratedRecord):
        return [box.phrase_indices for box in record.boxes]
    return [(box.phrase_index,) for box in record.boxes]


def _labels_outside(record: LabelledPair, used: set[int]) -> int:
    return sum(index not in used for of_box in _phrases_of(record) for index in of_box)


def same_phrase(span: Span, offered: Sequence[Phrase]) -> int | None:
    """The phrase with the greatest share of common characters, at least one half."""
    shares = []
    for phrase in offered:
        common = min(span[1], phrase.end) - max(span[0], phrase.start)
        either = max(span[1], phrase.end) - min(span[0], phrase.start)
        shares.append(common / either if either else 0.0)
    if not shares or max(shares) < MIN_SPAN_OVERLAP:
        return None
    return shares.index(max(shares))


def _last_word(sample: TrainingSample, phrase: GoldPhrase) -> str:
    """Stands for the head noun of a phrase that the parser did not propose."""
    words = re.findall(r"\w+", sample.caption[slice(*phrase.span)].lower())
    return words[-1] if words else ""
