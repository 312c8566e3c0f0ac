"""Damaged files of a training and of a model: a sentence that names the file, never more."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.jobs.training_fuzz import DamagedTraining
from tests.pipeline.corpus.fuzz import memory_folder


def test_mutations_of_a_training_end_in_a_sentence() -> None:
    """A part of what `python -m tests.jobs.training_fuzz` does."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        damaged = DamagedTraining(Path(folder), seed=2026)
        for number in range(16):
            damaged.case(number)
    assert {words.split()[0] for words in damaged.outcomes} == {"status", "pretrain", "detect"}
