"""Ten thousand damaged corpora; see `fuzz.py`, which runs as many as you like."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pipeline.corpus import corpus as corpus_module
from tests.pipeline.corpus.fuzz import Fuzzer, memory_folder

CASES = 10_000


@pytest.mark.slow
def test_damage_costs_what_it_touches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "SPLIT_MIN_BYTES", 1)
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        fuzzer = Fuzzer(Path(folder), seed=6)
        for number in range(CASES):
            fuzzer.run(number)
    # The cases must go on reaching what they were made for.
    assert set(fuzzer.outcomes) >= {
        *("ok", "refused", "unit failed", "caption_missing", "caption_invalid", "duplicate_id"),
        *("record_invalid", "image_missing", "image_corrupt", "image_too_large", "image_too_small"),
    }
