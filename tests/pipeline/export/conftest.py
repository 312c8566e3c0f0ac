"""Records that the tests of consumers export, and how much is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.records import CuratedRecord
from tests.pipeline.export.counts import NUM_IMAGES
from tests.pipeline.imported.corpora import random_records


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("consumers")


@pytest.fixture(scope="module")
def records(root: Path) -> list[CuratedRecord]:
    return random_records(root / "images", 11, NUM_IMAGES)
