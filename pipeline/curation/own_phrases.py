"""Phrases that people marked in a caption: behind the teacher's, so that numbers stay. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schemas.errors import DataError
from schemas.records import Annotation, Decision, Phrase, Verdict


def with_phrases(row: Annotation, decisions: Iterable[Decision]) -> Annotation:
    """The pair with the phrases that people marked, each at its number.

    Args:
        row: the annotation.
        decisions: about this pair, in any order.

    Raises:
        DataError: a number is left out or stands for two spans, or a span is not in the caption.
    """
    marked = sorted(
        (d for d in decisions if d.verdict == Verdict.PHRASE),
        key=lambda d: (d.phrase_index or 0, d.decided_at, d.decision_id),
    )
    if not marked:
        return row
    phrases = list(row.phrases)
    for decision in marked:
        start, end = decision.span or (0, 0)
        where = f"decision {decision.decision_id!r} about {row.record_id!r}"
        if not 0 <= start < end <= len(row.caption):
            raise DataError(
                f"{where}: span [{start}, {end}) is not in the caption of {len(row.caption)} "
                "characters"
            )
        phrase = Phrase(text=row.caption[start:end], start=start, end=end)
        index = decision.phrase_index
        if index == len(phrases) - 1 and phrases[-1] == phrase and index >= len(row.phrases):
            continue  # said twice
        if index != len(phrases):
            raise DataError(f"{where}: phrase_index must be {len(phrases)}, got {index}")
        phrases.append(phrase)
    return replace(row, phrases=tuple(phrases))
