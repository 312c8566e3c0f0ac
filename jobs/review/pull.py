"""`glipforge review pull`: what people did in the app becomes decisions of the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import MaybeDir, Run
from jobs.review.ending import interrupt_on_signals
from pipeline.review.sync.store.run_dataset import pushed_dataset, review_store
from schemas.records import Verdict
from schemas.redaction import shown

if TYPE_CHECKING:
    from pipeline.review.sync.pull.pull import PullReport

SHOWN_CONFLICTS = 20


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Append what people did in the app to the run's decisions. Safe while they work."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    dataset: str | None = None
    """Name of the dataset in the app; from the run's name if not given."""
    reviewer: str | None = None
    """Who is named where the app did not write who gave a verdict; the login name if not given."""
    every: float = 0.0
    """Pull again every so many seconds, until Ctrl-C; 0: once."""
    accept_deletions: bool = False
    """Take deleted samples as the verdict "bad", also where most of the dataset is gone."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


def pull_run(config: Pull, *, quiet: bool = False) -> PullReport:
    """Append new decisions to a run; `quiet` prints nothing where nothing is new.

    Raises:
        ConfigError: the run was never pushed, or a bad option.
    """
    from pipeline.curation.decisions import append_decisions, load_decisions
    from pipeline.review.home import reviewer_name
    from pipeline.review.sync.pull.pull import pull
    from pipeline.run.open import open_run
    from pipeline.storage.lock_file import wait_alone
    from schemas.errors import ConfigError

    if config.every < 0:
        raise ConfigError(f"every must be 0 or more seconds, got {config.every}")
    reviewer = reviewer_name(config.reviewer)
    run_store = open_run(config.run)
    with review_store(config.home) as (home, _, store):
        dataset = pushed_dataset(store, config.run, config.dataset)
        with home.pull_lock(dataset.name).open("ab") as lock:
            wait_alone(lock)
            report = pull(
                dataset,
                run_store.iter_annotations(),
                load_decisions(run_store),
                append=lambda rows: append_decisions(run_store, rows),
                reviewer=reviewer,
                accept_deletions=config.accept_deletions,
            )
    if not quiet or report.decisions or report.conflicts:
        print_pull(report)
    return report


def print_pull(report: PullReport) -> None:
    """What a pull found, in a few lines."""
    verdicts = _counted(report.verdicts())
    print(
        f"{report.samples} pairs read, {report.changed_samples} with changes: "
        f"{len(report.decisions)} new decisions ({verdicts or 'none'}); "
        f"{report.undecided} boxes still pending"
    )
    if report.decisions:
        print(f"by reviewer: {_counted(report.reviewers())}")
    bad = [d for d in report.decisions if d.verdict == Verdict.BAD]
    for decision in bad[:SHOWN_CONFLICTS]:
        print(shown(f"bad: {decision.record_id}: {decision.reason} ({decision.reviewer})"))
    if len(bad) > SHOWN_CONFLICTS:
        print(f"...and {len(bad) - SHOWN_CONFLICTS} more")
    for conflict in report.conflicts[:SHOWN_CONFLICTS]:
        about = conflict.box_id or conflict.record_id
        said = shown(f"conflict: {about}: {conflict.kind}: {conflict.detail}")
        print(said, file=sys.stderr)
    if report.conflicts:
        print(
            f"{len(report.conflicts)} conflicts; they are in the saved view 'conflicts'. Correct "
            "them in the app and pull again",
            file=sys.stderr,
        )
    if report.deletions_refused:
        print(
            f"{report.deleted} samples, more than half of the dataset, were deleted in the app; "
            "that looks like an accident, so they were not taken as bad. Add --accept-deletions "
            "if it is meant; `glipforge review push --restore` brings them back",
            file=sys.stderr,
        )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def exit_code(report: PullReport) -> int:
    """1 where something was not taken."""
    return 1 if report.deletions_refused else 0


def pull_often(config: Pull) -> int:
    """Pull on a timer until Ctrl-C; a database that is away is waited for.

    Raises:
        ConfigError: at the first pull only.
    """
    from pipeline.review.database.errors import DatabaseLost

    interrupt_on_signals()
    first = True
    try:
        while True:
            try:
                pull_run(config, quiet=not first)
            except DatabaseLost as error:
                print(f"{error}; trying again in {config.every:g} s", file=sys.stderr, flush=True)
            if first:
                print(f"pulling every {config.every:g} s; Ctrl-C ends it", flush=True)
            first = False
            time.sleep(config.every)
    except KeyboardInterrupt:
        print("\nno longer pulling", flush=True)
        return 0
