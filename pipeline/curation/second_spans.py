"""Further phrases that a box carries: referring expressions, and shorter endings on the same noun.

Kosmos-2's GRIT keeps a noun chunk and its expression with the same boxes; OWL-ST learns from every
n-gram. Both are second spans here: the teacher was asked for the chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import PhraseReadings
from pipeline.phrases.drop_words import LEADING_WORDS
from schemas.records import CuratedRecord, Phrase, Span
from schemas.tables import curated_to_table, table_to_curated

MAX_WORDS = 10
"""OWL-ST's longest n-gram (Minderer, Gritsenko and Houlsby, 2023, section 3.1)."""


def with_second_spans(
    curated: pa.Table, policy: FilterPolicy, readings: PhraseReadings | None
) -> tuple[pa.Table, int]:
    """Curated rows whose boxes carry second spans too, and how many phrases were added."""
    records = table_to_curated(curated)
    expressions: Sequence[Sequence[Span | None]] = [()] * len(records)
    if "expressions" in policy.second_spans and readings is not None:
        own = readings.at(curated.column("record_id").combine_chunks())
        expressions = [
            [
                None if start < 0 else (start, end)
                for start, end in zip(s or (), e or (), strict=True)
            ]
            for s, e in zip(own.starts.to_pylist(), own.ends.to_pylist(), strict=True)
        ]
    ngrams = "ngrams" in policy.second_spans
    wider = [_wider(r, own, ngrams=ngrams) for r, own in zip(records, expressions, strict=True)]
    added = sum(
        len(new.phrases) - len(old.phrases) for new, old in zip(wider, records, strict=True)
    )
    return curated_to_table(wider), added


def endings(text: str) -> Iterator[int]:
    """Where the shorter endings of a phrase begin: of `a red sports car` those of `red sports car`,
    `sports car` and `car`."""
    words = list(re.finditer(r"\S+", text))
    for number, word in enumerate(words[1:], start=1):
        if word.group().lower() not in LEADING_WORDS and len(words) - number <= MAX_WORDS:
            yield word.start()


def _wider(
    record: CuratedRecord, expressions: Sequence[Span | None], *, ngrams: bool
) -> CuratedRecord:
    phrases = list(record.phrases)
    place_of = {(phrase.start, phrase.end): n for n, phrase in enumerate(phrases)}
    more: dict[int, list[int]] = {}
    for number in sorted({n for box in record.boxes for n in box.phrase_indices}):
        for span in _spans(record.phrases[number], number, expressions, ngrams=ngrams):
            if span not in place_of:
                place_of[span] = len(phrases)
                phrases.append(
                    replace(
                        record.phrases[number],
                        text=record.caption[slice(*span)],
                        start=span[0],
                        end=span[1],
                    )
                )
            more.setdefault(number, []).append(place_of[span])
    boxes = tuple(
        replace(
            box,
            phrase_indices=tuple(
                dict.fromkeys(
                    [
                        *box.phrase_indices,
                        *(m for n in box.phrase_indices for m in more.get(n, ())),
                    ]
                )
            ),
        )
        for box in record.boxes
    )
    return replace(record, phrases=tuple(phrases), boxes=boxes)


def _spans(
    phrase: Phrase, number: int, expressions: Sequence[Span | None], *, ngrams: bool
) -> Iterator[Span]:
    if number < len(expressions) and (span := expressions[number]) is not None:
        yield span
    # A phrase that a person drew may end elsewhere than on its noun.
    if ngrams and (not phrase.head or phrase.text.lower().split()[-1].startswith(phrase.head[:3])):
        for start in endings(phrase.text):
            yield phrase.start + start, phrase.end
