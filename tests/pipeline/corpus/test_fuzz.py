"""Ten thousand damaged corpora; see `fuzz.py`, which runs as many as you like."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import pytest

from tests.pipeline.corpus.fuzz import outcomes_of

CASES = 10_000
CASES_A_CALL = 500
PROCESSES = 2
SEED = 6


@pytest.mark.slow
def test_damage_costs_what_it_touches() -> None:
    calls = [range(at, at + CASES_A_CALL) for at in range(0, CASES, CASES_A_CALL)]
    outcomes = Counter[str]()
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for found in pool.map(outcomes_of, repeat(SEED), calls):
            outcomes += found
    # The cases must go on reaching what they were made for.
    assert set(outcomes) >= {
        *("ok", "refused", "unit failed", "caption_missing", "caption_invalid", "duplicate_id"),
        *("record_invalid", "image_missing", "image_corrupt", "image_too_large", "image_too_small"),
    }
