"""The dataset of a run in the review database: its name, and how to reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigError
from schemas.fingerprint import fingerprint

if TYPE_CHECKING:
    from pipeline.review.database.server import Database
    from pipeline.review.home import ReviewHome
    from pipeline.review.sync.store.mongo_store import StoredDataset


def run_address(run_uri: str) -> str:
    """One text for a run, however its path was typed."""
    address = run_uri if "://" in run_uri else str(Path(run_uri).resolve())
    return address.rstrip("/")


def dataset_name(run_uri: str, given: str | None) -> str:
    """The dataset of a run: the last part of its address, and a hash of all of it.

    Raises:
        ConfigError: the given name has no letter or digit.
    """
    from pipeline.review.home import dataset_slug

    if given is not None:
        if not dataset_slug(given):
            raise ConfigError(f"dataset {given!r} needs a letter or a digit")
        return given
    address = run_address(run_uri)
    last = dataset_slug(address.rsplit("/", 1)[-1]) or "run"
    return f"{last}-{fingerprint(address)[:8]}"


@contextmanager
def review_store(home_path: Path | None) -> Iterator[tuple[ReviewHome, Database, Any]]:
    """The review home, its database server, and a connection to it.

    Raises:
        ConfigError: the home cannot be used, or no server can be started or reached.
    """
    from pipeline.review.database.server import open_database
    from pipeline.review.home import database_name, review_home
    from pipeline.review.sync.store.mongo_store import open_store

    home = review_home(home_path)
    with open_database(home) as database, open_store(database.uri, database_name()) as store:
        yield home, database, store


def pushed_dataset(store: Any, run_uri: str, given: str | None) -> StoredDataset:
    """The dataset that an earlier push made.

    Raises:
        ConfigError: the run was never pushed to this review database.
    """
    from pipeline.review.sync.store.mongo_store import get_dataset

    try:
        return get_dataset(store, dataset_name(run_uri, given))
    except ConfigError as error:
        raise ConfigError(f"{error}; run `glipforge review push {quote(run_uri)}` first") from error
