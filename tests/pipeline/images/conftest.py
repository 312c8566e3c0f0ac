from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.images import web
from tests.hostile_server import HostileServer, hostile_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileServer]:
    monkeypatch.setattr(web, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(web, "WEB_DEADLINE_S", 20.0)
    with hostile_server() as server:
        yield server
