"""Phrases that were looked for and are known to be absent. Pure.

No box is no absence: a phrase counts where it was asked for, the policy drops it not by its words,
no candidate of it reached the policy's `negative_below`, no person says otherwise, and it shares no
words with a phrase that has a box or of which a person says so. Nor is "the dog" absent where "a
dog" has a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.curation.rules.phrase_rules import bare_text
from schemas.records import CuratedRecord, PhraseStatus


def negative_phrases(record: CuratedRecord, below: float) -> tuple[list[int], int]:
    """Places of the negatives among the record's phrases, and how many more would be negatives
    but overlap or repeat such a phrase.

    Args:
        record: a curated pair.
        below: the policy's `negative_below`: best scores from there on say nothing.
    """
    named = {index for box in record.boxes for index in box.phrase_indices}
    there = [
        (phrase.start, phrase.end, bare_text(phrase.text))
        for index, phrase in enumerate(record.phrases)
        if index in named or phrase.status == PhraseStatus.DOUBTED
    ]
    found, overlapping = [], 0
    for index, phrase in enumerate(record.phrases):
        if index in named or phrase.status != PhraseStatus.OK or phrase.best_score >= below:
            continue
        words = bare_text(phrase.text)
        if any(
            (phrase.start < end and start < phrase.end) or words == other
            for start, end, other in there
        ):
            overlapping += 1
        else:
            found.append(index)
    return found, overlapping


def with_doubts(
    record: CuratedRecord, *, goes: Sequence[bool], misses_a_box: bool
) -> CuratedRecord:
    """The record with the phrases marked of which no box says nothing.

    Args:
        record: a curated pair that people decided about.
        goes: for each phrase that the teacher knew, whether the policy drops it with all of its
            boxes; people marked the phrases behind these.
        misses_a_box: a person says that something in the caption has no box, not what: then no
            phrase is known to be absent.
    """
    named = {index for box in record.boxes for index in box.phrase_indices}
    phrases = list(record.phrases)
    for index, phrase in enumerate(phrases):
        if index in named or phrase.status != PhraseStatus.OK:
            continue
        if misses_a_box or index >= len(goes):
            phrases[index] = replace(phrase, status=PhraseStatus.DOUBTED)
        elif goes[index]:
            phrases[index] = replace(phrase, status=PhraseStatus.DROPPED)
    return replace(record, phrases=tuple(phrases))
