"""Gold data and recipes of toy trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.jobs.commands.train.toy_training import TOY
from tests.jobs.shapes import write_shapes


@pytest.fixture(scope="session")
def gold(tmp_path_factory) -> tuple[Path, Path]:
    return write_shapes(tmp_path_factory.mktemp("gold"), 16)


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(TOY))
    return path
