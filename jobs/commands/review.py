"""Review the labels of a run in FiftyOne: push them, open the app, pull what people decided."""

from __future__ import annotations

import getpass
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from jobs.arguments import MaybeDir, Run
from pipeline.review.sync.run_dataset import dataset_name, pushed_dataset, review_store, run_address

if TYPE_CHECKING:
    from pipeline.review.sync.pull import PullReport
    from pipeline.review.sync.push import PushReport
    from pipeline.review.sync.selection import Selection
    from pipeline.run.store import RunStore

EXAMPLES = (
    "glipforge review push runs/1 --policy default",
    "glipforge review open runs/1",
    "glipforge review pull runs/1",
)
SHOWN_CONFLICTS = 20
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
    queue: Literal["", "audit"] = ""
    """`audit`: show what `glipforge audit` drew, in a dataset of its own."""
    min_score: float = 0.0
    """Show candidates with at least this score."""
    limit: int | None = None
    """Show at most so many pairs."""
    rebuild: bool = False
    """Drop the dataset and make it again from the run; refused while it holds unpulled work."""
    discard_unpulled: bool = False
    """With --rebuild: drop what people did since the last pull."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


@dataclass(frozen=True, kw_only=True)
class Open:
    """Serve the app until Ctrl-C."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    dataset: str | None = None
    """Name of the dataset in the app; from the run's name if not given."""
    port: int | None = None
    """Port of the app; 5151 if it is free, else any free one."""
    address: str = "127.0.0.1"
    """Address to listen on. The app has no login: anything but loopback needs --allow-remote."""
    allow_remote: bool = False
    """Let other machines reach the app, which has no login and no encryption."""
    browser: bool = True
    """Open a browser where there is a screen."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Append what people did in the app to the run's decisions."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    dataset: str | None = None
    """Name of the dataset in the app; from the run's name if not given."""
    reviewer: str | None = None
    """Who is named in the decisions; the user's login name if not given."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


Config = (
    Annotated[Push, tyro.conf.subcommand("push")]
    | Annotated[Open, tyro.conf.subcommand("open")]
    | Annotated[Pull, tyro.conf.subcommand("pull")]
)


def run(config: Push | Open | Pull) -> int:
    """Run one of the three; returns the exit code (1: some images could not be shown)."""
    _show_log()
    if isinstance(config, Push):
        return 1 if push_run(config).failures else 0
    if isinstance(config, Open):
        return open_app(config)
    pull_run(config)
    return 0


def _show_log() -> None:
    """What the bridge does on its own account (fetching a server) is worth a line."""
    logger = logging.getLogger("pipeline.review")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)


def _queue(config: Push, run_store: RunStore) -> Selection:
    from pipeline.curation.policy import get_policy
    from pipeline.review.sync.selection import Selection
    from pipeline.trust.audit import find_audit

    policy = None if config.policy is None else get_policy(config.policy)
    sample = find_audit(run_store, policy)
    return Selection(box_ids=sample.box_ids(), queue=f"audit {sample.audit_id}")


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
    from pipeline.review.sync.push import push
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
    if config.queue:
        selection = _queue(config, run_store)
        name = config.dataset or f"{name}-{config.queue}"
    started = time.monotonic()
    with review_store(config.home) as (home, database, store):
        found = find_dataset(store, name)
        if found is not None and config.rebuild:
            _check_pulled(found, run_store, decisions, config)
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
                progress=bar,
            )
    seconds = time.monotonic() - started
    print(
        f"dataset {name}: {report.added} pairs added, {report.refreshed} refreshed, "
        f"{report.removed} removed, {report.boxes} boxes, {report.kept_labels} labels left as "
        f"people made them ({seconds:.1f} s)"
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


def pull_run(config: Pull) -> PullReport:
    """Append new decisions to a run.

    Raises:
        ConfigError: the run was never pushed.
    """
    from pipeline.curation.decisions import append_decisions, load_decisions
    from pipeline.review.sync.pull import pull
    from pipeline.run.open import open_run

    run_store = open_run(config.run)
    with review_store(config.home) as (_, _, store):
        report = pull(
            pushed_dataset(store, config.run, config.dataset),
            run_store.iter_annotations(),
            load_decisions(run_store),
            append=lambda rows: append_decisions(run_store, rows),
            reviewer=config.reviewer or getpass.getuser(),
        )
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in report.verdicts().items())
    print(
        f"{report.samples} pairs read, {report.changed_samples} with changes: "
        f"{len(report.decisions)} new decisions ({verdicts or 'none'}); "
        f"{report.undecided} boxes still pending"
    )
    for conflict in report.conflicts[:SHOWN_CONFLICTS]:
        about = conflict.box_id or conflict.record_id
        print(f"conflict: {about}: {conflict.kind}: {conflict.detail}", file=sys.stderr)
    if report.conflicts:
        print(
            f"{len(report.conflicts)} conflicts; they are in the saved view 'conflicts'. Correct "
            "them in the app and pull again",
            file=sys.stderr,
        )
    return report


def open_app(config: Open) -> int:
    """Serve the app until Ctrl-C or SIGTERM; both end the server and the database.

    Raises:
        ConfigError: the run was never pushed, or the address or port cannot be used.
    """
    from pipeline.review.app.server import check_address, run_server

    check_address(config.address, allow_remote=config.allow_remote)
    # SIGINT too: a shell that starts a command by `&` lets it ignore Ctrl-C and `kill -INT`.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _interrupt)
    with review_store(config.home) as (home, database, store):
        name = pushed_dataset(store, config.run, config.dataset).name
        print("starting the app server (half a minute on a slow machine)", flush=True)
        with run_server(
            home,
            database,
            address=config.address,
            port=config.port,
            allow_remote=config.allow_remote,
        ) as server:
            url = server.url(name)
            print(f"review: {url}")
            print(f"from another machine: {server.tunnel()}")
            print("Ctrl-C ends the app and its database; then: ", end="")
            print(f"glipforge review pull {config.run}", flush=True)
            if config.browser and has_screen():
                import webbrowser

                webbrowser.open(url)
            try:
                code = server.process.wait()
            except KeyboardInterrupt:
                print("\nending the app", flush=True)
                return 0
    print(f"the app server ended by itself with code {code}; see {home.server_log}")
    return 1


def has_screen() -> bool:
    """True where a browser window could appear."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
