from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faulty_store import BUCKET, FaultyStore, faulty_store


@pytest.fixture(scope="module")
def s3_server() -> Iterator[FaultyStore]:
    with faulty_store() as store:
        yield store


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "run")
    request.getfixturevalue("s3_server")
    return f"s3://{BUCKET}/{tmp_path.name}"
