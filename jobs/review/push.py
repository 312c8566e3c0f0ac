"""`glipforge review push`: show a run in the app."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tyro

from jobs.arguments import MaybeDir, Run
from pipeline.review.sync.run_dataset import dataset_name, review_store, run_address

if TYPE_CHECKING:
    from pipeline.review.sync.push import PushReport

SHOWN_FAILURES = 10


@dataclass(frozen=True, kw_only=True)
class Push:
    """Show a run in the app; human work that is already there stays."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    dataset: str | None = None
    """Name of the dataset in the app; from the run's name if not given."""
    policy: str | None = None
    """Show what this filter policy keeps; all candidates if not given."""
    min_score: float = 0.0
    """Show candidates with at least this score."""
    limit: int | None = None
    """Show at most so many pairs."""
    rebuild: bool = False
    """Drop the dataset and make it again from the run; refused while it holds unpulled work."""
    discard_unpulled: bool = False
    """With --rebuild: drop what people did since the last pull."""
    restore: bool = False
    """Show pairs again that were deleted in the app or called bad."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


def push_run(config: Push) -> PushReport:
    """Make or refresh the dataset of a run.

    Raises:
        ConfigError: unknown policy, a limit below 1, unusable home, or --rebuild over unpulled
            work.
    """
    from jobs.progress_bar import reading_bar
    from pipeline.curation.decisions import load_decisions
    from pipeline.curation.policy import get_policy
    from pipeline.review.sync.dataset_process import drop_dataset, make_dataset
    from pipeline.review.sync.media import MediaStore
    from pipeline.review.sync.mongo_store import find_dataset, get_dataset
    from pipeline.review.sync.push import forget, push
    from pipeline.review.sync.selection import Selection
    from pipeline.run.open import num_records, open_run
    from schemas.errors import ConfigError

    if config.limit is not None and config.limit < 1:
        raise ConfigError(f"limit must be at least 1, got {config.limit}")
    run_store = open_run(config.run)
    selection = Selection(
        min_score=config.min_score,
        policy=None if config.policy is None else get_policy(config.policy),
    )
    decisions = load_decisions(run_store)
    name = dataset_name(config.run, config.dataset)
    started = time.monotonic()
    with review_store(config.home) as (home, database, store):
        found = find_dataset(store, name)
        if found is not None and config.rebuild:
            _check_pulled(found, run_store, decisions, config)
            forget(found)
            drop_dataset(home, database.uri, name)
            found = None
        if found is None:
            print("starting FiftyOne (it takes some seconds to load)", flush=True)
            info = {"run": run_address(config.run), "selection": selection.name}
            make_dataset(home, database.uri, name, info)
            found = get_dataset(store, name)
        count = num_records(run_store)
        with reading_bar("push", min(count, config.limit or count)) as bar:
            report = push(
                found,
                run_store.iter_annotations,
                decisions,
                media=MediaStore(home.media),
                selection=selection,
                limit=config.limit,
                restore=config.restore,
                progress=bar,
            )
    seconds = time.monotonic() - started
    print(
        f"dataset {name}: {report.added} pairs added, {report.refreshed} refreshed, "
        f"{report.unchanged} unchanged, {report.removed} removed, {report.boxes} boxes, "
        f"{report.kept_labels} labels left as people made them ({seconds:.1f} s)"
    )
    if report.left_out:
        print(
            f"{report.left_out} pairs that people deleted in the app or called bad stay out; "
            "--restore shows them again"
        )
    if report.edited_meanwhile:
        print(f"{report.edited_meanwhile} pairs were edited during the push and left alone")
    for record_id, reason in report.failures[:SHOWN_FAILURES]:
        print(f"not shown: {record_id}: {reason}", file=sys.stderr)
    if len(report.failures) > SHOWN_FAILURES:
        print(f"...and {len(report.failures) - SHOWN_FAILURES} more", file=sys.stderr)
    print(f"next: glipforge review open {config.run}")
    return report


def _check_pulled(found: Any, run_store: Any, decisions: Any, config: Push) -> None:
    from pipeline.review.sync.pull import unpulled
    from schemas.errors import ConfigError

    if config.discard_unpulled:
        return
    count = unpulled(found, run_store.iter_annotations(), decisions)
    if count:
        raise ConfigError(
            f"dataset {found.name!r} holds {count} changes that were never pulled; run "
            f"`glipforge review pull {config.run}` first, or add --discard-unpulled"
        )
