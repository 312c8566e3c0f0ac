"""The layer `phrases`: what a parser says of the phrases of each pair. No image is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from pipeline.labelling.retries import Retries
from pipeline.layers.store import LayerRows
from pipeline.phrases.readings import Reading
from schemas.errors import failure_of
from schemas.layer import KINDS
from schemas.records import Annotation, Span, Status

LAYER = "phrases"
NOTHING = -1
"""Stands for no expression."""


class Reader(Protocol):
    """`pipeline.phrases.readings.PhraseReader`, or a test's."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes the readings."""
        ...

    def read(
        self, captions: Sequence[str], phrases: Sequence[Sequence[Span]]
    ) -> list[list[Reading]]:
        """One reading for each phrase."""
        ...


def phrase_rows(rows: Sequence[Annotation], reader: Reader) -> LayerRows:
    """The rows of the layer for the labelled rows of a unit; one that cannot be read has a reason.

    Args:
        rows: in the unit's order.
        reader: reads phrases in their captions.
    """
    answers = _answers(rows, reader, Retries())
    kind = KINDS[LAYER]
    failed, fine = Status.TEACHER_FAILED.value, Status.OK.value
    statuses = [failed if isinstance(a, str) else fine for a in answers]
    details = [a if isinstance(a, str) else "" for a in answers]
    read = [None if isinstance(a, str) else a for a in answers]
    spans = [None if a is None else [r.expression or (NOTHING, NOTHING) for r in a] for a in read]
    values = [
        [row.record_id for row in rows],
        statuses,
        details,
        [None if a is None else [r.entity for r in a] for a in read],
        [None if own is None else [span[0] for span in own] for own in spans],
        [None if own is None else [span[1] for span in own] for own in spans],
    ]
    schema = kind.schema()
    arrays = [pa.array(v, type=f.type) for v, f in zip(values, schema, strict=True)]
    examples: dict[str, str] = {}
    for row, status, detail in zip(rows, statuses, details, strict=True):
        if detail:
            examples.setdefault(status, f"{row.record_id}: {detail}"[:300])
    return LayerRows(
        table=pa.Table.from_arrays(arrays, schema=schema),
        statuses=Counter(statuses),
        examples=examples,
    )


def _answers(
    rows: Sequence[Annotation], reader: Reader, retries: Retries
) -> list[list[Reading] | str]:
    """The readings of each row, or why there are none: one bad caption fails alone."""
    if not rows:
        return []
    spans = [[(phrase.start, phrase.end) for phrase in row.phrases] for row in rows]
    try:
        return list(reader.read([row.caption for row in rows], spans))
    except Exception as error:
        if len(rows) == 1:
            return [failure_of(error)]
        retries.count("phrases", len(rows), error)
    return [answer for row in rows for answer in _answers([row], reader, retries)]
