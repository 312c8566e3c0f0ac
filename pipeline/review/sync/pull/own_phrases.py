"""Phrases that reviewers marked in the App and that the run does not know yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.review.sync.label.app_label import ConflictKind
from pipeline.review.sync.label.stamp import label_stamp
from pipeline.review.sync.pull.changes import Change, Reading
from schemas.records import Annotation, Phrase, Verdict


def read_phrases(reading: Reading, document: Mapping[str, Any], row: Annotation) -> Annotation:
    """Note the phrases that are new; returns the pair with them.

    Args:
        reading: gets the changes and conflicts.
        document: the sample.
        row: its pair, with the phrases that people marked before.
    """
    phrases = list(row.phrases)
    for index, raw in enumerate(document.get("phrases") or ()):
        span = (raw.get("start"), raw.get("end"))
        if index < len(row.phrases):
            known = row.phrases[index]
            if span != (known.start, known.end):
                reading.conflict(
                    ConflictKind.PHRASE_TAKEN,
                    "",
                    f"phrase {index} is {known.text!r} in the run and {raw.get('text')!r} in the "
                    "app; push again",
                )
                return row
            continue
        start, end = span
        if not (isinstance(start, int) and isinstance(end, int)) or not (
            0 <= start < end <= len(row.caption)
        ):
            reading.conflict(
                ConflictKind.PHRASE_TAKEN, "", f"phrase {index} has no place in the caption: {span}"
            )
            return replace(row, phrases=tuple(phrases))
        phrases.append(Phrase(text=row.caption[start:end], start=start, end=end))
        reading.changes.append(
            Change(
                box_id="",
                verdict=Verdict.PHRASE,
                phrase_index=index,
                span=(start, end),
                stamp=label_stamp(raw),
            )
        )
    return replace(row, phrases=tuple(phrases))
