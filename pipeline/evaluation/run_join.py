"""Joins a labelled run to gold: which record is which sample, which phrase is which phrase."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.phrase_rules import phrase_head
from pipeline.evaluation.phrase_recall import GoldPhrase, PhraseImage, gold_phrases
from pipeline.gold.checks import clean_name
from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.boxes import as_boxes
from schemas.errors import ConfigError
from schemas.records import Annotation, CuratedRecord, Phrase, Span, TrainingSample

LabelledPair = Annotation | CuratedRecord
MIN_SPAN_OVERLAP = 0.5
"""Characters in common over characters in either: below it two phrases are different ones."""


@dataclass(frozen=True, kw_only=True)
class JoinedPair:
    """A record of the run and the gold sample about the same image and caption."""

    sample: TrainingSample
    record: LabelledPair


@dataclass(kw_only=True)
class JoinCounts:
    """How much of run and gold was compared."""

    gold_samples: int = 0
    joined: int = 0
    records_without_gold: int = 0
    ambiguous_records: int = 0
    """Several gold samples have this file name and caption."""
    gold_phrases: int = 0
    phrases_exact: int = 0
    """Gold phrases whose span the parser found exactly."""
    phrases_overlapping: int = 0
    phrases_missed: int = 0
    """Gold phrases that the parser did not propose: misses in every recall."""
    labels_elsewhere: int = 0
    """Boxes of the run on phrases that gold does not name: not judged."""


class GoldIndex:
    """Finds the gold sample of a record: by id, else by image file and caption."""

    def __init__(self, gold: GoldSet) -> None:
        self._by_caption = gold.kind == GoldKind.GROUNDING
        self._by_id = {sample.sample_id: sample for sample in gold.samples}
        self._by_file: dict[tuple[str, str], list[TrainingSample]] = {}
        for sample in gold.samples:
            self._by_file.setdefault(self._key(sample), []).append(sample)

    def find(self, record: LabelledPair) -> TrainingSample | None:
        """The sample of a record, None where there is none.

        Raises:
            LookupError: several samples fit equally well.
        """
        own = self._by_id.get(record.record_id)
        if own is not None:
            return own
        found = self._by_file.get(self._key(record), [])
        if len(found) < 2:
            return found[0] if found else None
        common = [_common_parts(record.image_uri, sample.image_uri) for sample in found]
        best = [s for s, parts in zip(found, common, strict=True) if parts == max(common)]
        if len(best) > 1:
            raise LookupError(record.record_id)
        return best[0]

    def _key(self, pair: TrainingSample | LabelledPair) -> tuple[str, str]:
        return (_parts(pair.image_uri)[-1], pair.caption if self._by_caption else "")


def join_run(
    records: Iterable[LabelledPair], gold: GoldSet, counts: JoinCounts
) -> list[JoinedPair]:
    """Records beside their gold samples; of a detection set one image may have several captions.

    Raises:
        ConfigError: not one record has a gold sample.
    """
    index, joined = GoldIndex(gold), []
    counts.gold_samples = len(gold.samples)
    for record in records:
        try:
            sample = index.find(record)
        except LookupError:
            counts.ambiguous_records += 1
            continue
        if sample is None:
            counts.records_without_gold += 1
        else:
            joined.append(JoinedPair(sample=sample, record=record))
    counts.joined = len(joined)
    if not joined:
        wanted = "file name and caption" if gold.kind == GoldKind.GROUNDING else "file name"
        raise ConfigError(
            f"no record of the run is a sample of gold {gold.name!r}, by record id or by {wanted}: "
            f"gold has {counts.gold_samples} samples; {counts.records_without_gold} records have "
            f"none and {counts.ambiguous_records} several"
        )
    return joined


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


def category_image(pair: JoinedPair, gold: GoldSet, counts: JoinCounts) -> PhraseImage:
    """For detection gold: categories that the caption names, with the boxes of those phrases."""
    categories = np.asarray(gold.box_categories[pair.sample.sample_id], dtype=np.int64)
    boxes = as_boxes(pair.sample.boxes)
    used: set[int] = set()
    phrases, ranked = [], []
    for category in np.unique(categories):
        naming = [
            index
            for index, phrase in enumerate(pair.record.phrases)
            if names_category(phrase, gold.categories[category])
        ]
        if naming:
            first = pair.record.phrases[naming[0]]
            phrases.append(
                GoldPhrase(
                    span=(first.start, first.end),
                    xyxy=boxes[categories == category],
                    noun=gold.categories[category],
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


def _parts(uri: str) -> list[str]:
    return re.split(r"[/#]", uri.replace("\\", "/"))


def _common_parts(a: str, b: str) -> int:
    """How many path parts agree, from the end."""
    common = 0
    for one, other in zip(reversed(_parts(a)), reversed(_parts(b)), strict=False):
        if one != other:
            break
        common += 1
    return common
