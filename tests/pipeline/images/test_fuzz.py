"""A part of what `python -m tests.pipeline.images.fuzz` does."""

from __future__ import annotations

import pytest

from pipeline.images import web
from tests.hostile_server import hostile_server
from tests.pipeline.images.fuzz import ImageFuzzer


def test_each_is_an_image_or_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEB_DEADLINE_S", "FIRST_WAIT_S"):
        monkeypatch.setattr(web, name, getattr(web, name))  # put back behind the test
    with hostile_server() as server:
        fuzzer = ImageFuzzer(server, seed=2026)
        for number in range(1000):
            fuzzer.run(number)
    assert fuzzer.outcomes["image ok"] > 20
    assert fuzzer.outcomes["server ok"] > 20
