"""`glipforge review open`: serve the app to one reviewer, and watch over its processes."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import MaybeDir, Run
from jobs.review.ending import interrupt_on_signals
from jobs.review.same_place import same_place
from pipeline.review.sync.store.run_dataset import pushed_dataset, review_store

if TYPE_CHECKING:
    from pipeline.review.app.server import AppServer
    from pipeline.review.database.server import Database

WATCH_S = 0.5
RESTARTS, RESTARTS_IN_S = 5, 300.0
"""After so many ends in so short a time, something else is wrong."""


@dataclass(frozen=True, kw_only=True)
class Open:
    """Serve the app to one reviewer until Ctrl-C; several reviewers open it once each."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    reviewer: str | None = None
    """Who reviews: the name that each verdict gets; the user's login name if not given."""
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


def open_app(config: Open) -> int:
    """Serve the app until Ctrl-C or SIGTERM; both end the server and the database.

    Where the app server or the database is killed, that is said and both start again at the same
    address: what the app showed as saved is on the disk.

    Raises:
        ConfigError: the run was never pushed, or the address, port or reviewer cannot be used.
    """
    from pipeline.review.app.server import check_address
    from pipeline.review.database.errors import DatabaseLost
    from pipeline.review.home import reviewer_name

    check_address(config.address, allow_remote=config.allow_remote)
    reviewer = reviewer_name(config.reviewer)
    interrupt_on_signals()
    ends: deque[float] = deque(maxlen=RESTARTS)
    port = config.port
    try:
        while True:
            try:
                port, ended = _serve(config, reviewer, port, again=bool(ends))
            except DatabaseLost as error:
                if not ends:
                    raise
                ended = str(error)
            ends.append(time.monotonic())
            often = len(ends) == RESTARTS and ends[-1] - ends[0] < RESTARTS_IN_S
            last = "it has ended too often; no longer starting it" if often else "starting again"
            print(f"{ended}; {last}", flush=True)
            if often:
                return 1
    except KeyboardInterrupt:
        print("\nending the app", flush=True)
        return 0


def _serve(config: Open, reviewer: str, port: int | None, *, again: bool) -> tuple[int, str]:
    """Serve until something ends by itself; the port, and a sentence that says what ended."""
    from pipeline.review.app.server import run_server

    with review_store(config.home) as (home, database, store):
        name = pushed_dataset(store, config.run, config.dataset).name
        if not again:
            print("starting the app server (half a minute on a slow machine)", flush=True)
        with run_server(
            home,
            database,
            address=config.address,
            port=port,
            allow_remote=config.allow_remote,
            reviewer=reviewer,
        ) as server:
            if again:
                print(f"the app is back at {server.url(name)}; reload the page", flush=True)
            else:
                _welcome(config, server, server.url(name), reviewer)
            code = _watch(server, database)
        if code is None:
            return server.port, (
                "the review database ended by itself; what was saved is on its disk (its log: "
                f"{home.mongod_log})"
                if database.owned
                else f"the MongoDB server at {database.uri} no longer answers"
            )
        log = home.server_log(server.port)
        return server.port, f"the app server ended by itself with code {code}; see {log}"


def _welcome(config: Open, server: AppServer, url: str, reviewer: str) -> None:
    print(f"review: {url}")
    print(f"from another machine: {server.tunnel()}")
    print(f"verdicts are {reviewer}'s; another reviewer opens the app with --reviewer NAME")
    print("Ctrl-C ends the app and its database; then: ", end="")
    place = same_place(config.dataset, config.home)
    print(f"glipforge review pull {config.run}{place}", flush=True)
    if config.browser and has_screen():
        import webbrowser

        webbrowser.open(url)


def _watch(server: AppServer, database: Database) -> int | None:
    """Wait until a process ends: the app server's exit code, or None for the database."""
    while True:
        if not database.answers():
            time.sleep(WATCH_S)  # a busy machine is not a dead one
            if not database.answers():
                return None
        code = server.process.poll()
        if code is not None:
            # A database that dies takes the app server with it: name the cause.
            time.sleep(WATCH_S)
            return code if database.answers() else None
        time.sleep(WATCH_S)


def has_screen() -> bool:
    """True where a browser window could appear."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
