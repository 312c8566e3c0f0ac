"""Second spans one record after the other: what the columns must agree with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.curation.second_spans import endings, ends_on_noun
from schemas.records import CuratedRecord, Phrase, Span


def widened(
    record: CuratedRecord, expressions: Sequence[Span | None], *, ngrams: bool
) -> CuratedRecord:
    """The record with the second spans of the phrases that its boxes carry.

    Args:
        record: curated.
        expressions: of its phrases, as far as they were read.
        ngrams: whether shorter endings count.
    """
    phrases = list(record.phrases)
    place_of = {(phrase.start, phrase.end): n for n, phrase in enumerate(phrases)}
    more: dict[int, list[int]] = {}
    for number in sorted({n for box in record.boxes for n in box.phrase_indices}):
        own = record.phrases[number]
        for span in _spans(own, number, expressions, ngrams=ngrams):
            if span not in place_of:
                place_of[span] = len(phrases)
                start, end = span
                text = record.caption[start:end]
                phrases.append(replace(own, text=text, start=start, end=end))
            more.setdefault(number, []).append(place_of[span])
    boxes = []
    for box in record.boxes:
        brought = [m for n in box.phrase_indices for m in more.get(n, ())]
        indices = tuple(dict.fromkeys([*box.phrase_indices, *brought]))
        boxes.append(replace(box, phrase_indices=indices))
    return replace(record, phrases=tuple(phrases), boxes=tuple(boxes))


def _spans(
    phrase: Phrase, number: int, expressions: Sequence[Span | None], *, ngrams: bool
) -> Iterator[Span]:
    if number < len(expressions) and (span := expressions[number]) is not None:
        yield span
    if ngrams and ends_on_noun(phrase.text, phrase.head):
        for start in endings(phrase.text):
            yield phrase.start + start, phrase.end
