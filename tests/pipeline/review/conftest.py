"""One real MongoDB for the session, got by the product's own function, and FiftyOne on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.review.database.server import Database, open_database
from pipeline.review.home import (
    DEFAULT_DATABASE_NAME,
    ReviewHome,
    prepare_environment,
    review_home,
)
from pipeline.review.sync.store.mongo_store import open_store
from schemas.fingerprint import sha256_file
from schemas.records import Annotation
from tests.pipeline.review.builders import make_row


@dataclass(frozen=True)
class ReviewSession:
    """The running database."""

    home: ReviewHome
    database: Database
    store: Any
    fo: Any


@pytest.fixture(scope="session")
def review_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSession]:
    """MongoDB and FiftyOne; the environment of other tests stays as it was."""
    before = dict(os.environ)
    for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_NAME"):
        os.environ.pop(name, None)
    home = review_home(tmp_path_factory.mktemp("review"))
    with open_database(home) as database, open_store(database.uri, DEFAULT_DATABASE_NAME) as store:
        prepare_environment(home, database.uri)
        import fiftyone as fo

        os.environ.clear()
        os.environ.update(before)
        yield ReviewSession(home, database, store, fo)


@pytest.fixture
def rows(tmp_path: Path) -> list[Annotation]:
    """Three pairs on two image files; the second and third share one."""
    made = []
    for number, image in enumerate((0, 1, 1)):
        path = tmp_path / f"{image}.png"
        Image.fromarray(np.full((48, 64, 3), 60 + image, np.uint8)).save(path)
        record_id = f"toy/{number}"
        row = make_row()
        made.append(
            replace(
                row,
                record_id=record_id,
                image_uri=str(path),
                image_sha256=sha256_file(path),
                boxes=tuple(
                    replace(box, box_id=f"{record_id}#{i}") for i, box in enumerate(row.boxes)
                ),
            )
        )
    return made


@pytest.fixture
def bench(review_session: ReviewSession, tmp_path: Path, rows: list[Annotation]) -> Iterator[Any]:
    """The three pairs as a run, with an empty dataset."""
    from tests.pipeline.review.bench import Bench

    made = Bench(review_session, tmp_path, rows)
    yield made
    made.drop()
