"""Tiny detectors, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.teacher.tiny_detectors import KINDS, write_detector


@pytest.fixture(scope="session")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The directory of a tiny network by its kind; tests change copies."""
    root = tmp_path_factory.mktemp("detectors")
    return {kind: write_detector(kind, root / kind) for kind in KINDS}
