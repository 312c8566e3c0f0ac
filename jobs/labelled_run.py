"""A labelled run as the later commands open it, and a bar for long reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.run.store import RunStore


def open_run(uri: str) -> RunStore:
    """The run in a directory or at a URL.

    Raises:
        ConfigError: this is not a labelling run, or nothing of it is committed yet.
    """
    from pipeline.run.store import RunStore

    run = RunStore(uri)
    run.plan()
    if not run.commits():
        raise ConfigError(
            f"run {uri!r} has no committed unit yet; glipforge status {uri} tells how far it is"
        )
    return run


def num_records(run: RunStore) -> int:
    """Rows that the run has committed, also those in quarantine."""
    return sum(commit.rows_out for commit in run.commits().values())


@contextmanager
def reading_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's stderr; gives the function that takes how much is done."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)
