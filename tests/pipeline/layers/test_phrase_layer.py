"""The layer `phrases`: a caption that cannot be read fails alone, and that it was alone is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.layers.phrase_layer import phrase_rows
from pipeline.phrases.readings import Reading
from schemas.records import Span
from tests.schemas.builders import make_annotation


class Shy:
    """Reads one caption at a time, and not every one."""

    def fingerprint(self) -> Mapping[str, Any]:
        return {"name": "shy"}

    def read(
        self, captions: Sequence[str], phrases: Sequence[Sequence[Span]]
    ) -> list[list[Reading]]:
        if len(captions) > 1:
            raise MemoryError("too many")
        if "kite" in captions[0]:
            raise ValueError("no kites")
        return [[Reading(entity="", expression=None) for _ in spans] for spans in phrases]


def test_a_batch_that_fails_is_read_caption_by_caption(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        make_annotation(record_id=f"toy/{n}", caption=text, phrases=(), boxes=())
        for n, text in enumerate(["a dog", "a kite", "a cat"])
    ]
    found = phrase_rows(rows, Shy())
    assert found.statuses == Counter(ok=2, teacher_failed=1)
    assert list(found.examples.values()) == ["toy/1: ValueError: no kites"]
    assert caplog.messages == [
        "phrases: a batch of 3 pairs failed (MemoryError: too many); each pair is asked alone, "
        "which is slow"
    ]
