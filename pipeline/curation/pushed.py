"""How much of a run was put before people: against that, progress is told without the review
database."""

from __future__ import annotations

import json

from pipeline.run.store import RunStore
from pipeline.storage.files import exists, read_bytes
from schemas.checked import checked, from_json, to_plain
from schemas.errors import DataError

FILE = "review.json"
VERSION = 1


@checked(frozen=True, kw_only=True)
class Pushed:
    """The last push of a run, or of a queue of it."""

    dataset: str
    pairs: int
    boxes: int
    """The teacher's that show by default."""
    version: int = VERSION


def write_pushed(run: RunStore, pushed: Pushed) -> None:
    """Write RUN/review.json."""
    run.write((json.dumps(to_plain(pushed)) + "\n").encode(), FILE)


def read_pushed(run: RunStore) -> Pushed | None:
    """The last push; None where there was none.

    Raises:
        DataError: the file is not one.
    """
    where = run.url(FILE)
    if not exists(where):
        return None
    return from_json(
        Pushed,
        read_bytes(where),
        where=where,
        what="record of the last push",
        version=VERSION,
        error=DataError,
    )
