"""The review database: one MongoDB server per review home, shared by the processes that need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import pymongo
import pymongo.errors

from pipeline.review.child_process import LOOPBACK, log_tail, module_root, port_answers
from pipeline.review.database.mongod_binary import Mongod, find_mongod
from pipeline.review.home import ENV_URI, ReviewHome
from pipeline.storage.lock_file import try_lock, unlock
from schemas.errors import ConfigError

START_TIMEOUT_S = 150.0
END_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class Database:
    """A MongoDB server that answers."""

    uri: str
    owned: bool
    """False where the user's own server is used (`FIFTYONE_DATABASE_URI`)."""
    port: int | None = None
    """Where the own server listens."""

    def answers(self) -> bool:
        """True where it accepts connections now."""
        if self.port is not None:
            return port_answers(self.port)
        try:
            client: pymongo.MongoClient[Any] = pymongo.MongoClient(
                self.uri, serverSelectionTimeoutMS=3000
            )
            with client:
                client.admin.command("ping")
        except pymongo.errors.PyMongoError:
            return False
        return True


@contextmanager
def open_database(home: ReviewHome) -> Iterator[Database]:
    """Use the review database for the length of a `with` block.

    With `FIFTYONE_DATABASE_URI` set nothing is started. Else a server that another process of this
    home runs is shared, or one is started on a free port of the loopback interface. It ends with
    its last user, however that one ends.

    Raises:
        ConfigError: the server cannot start, or its files need a newer MongoDB.
        MissingDependency: there is no MongoDB server on this machine and none could be fetched.
    """
    given = os.environ.get(ENV_URI)
    if given:
        yield Database(given, owned=False)
        return
    with home.clients_lock.open("a") as client:
        with home.start_lock.open("a") as starting:
            _lock(starting, home)
            # Waits while a keeper that found itself alone ends its server.
            _lock(client, home, shared=True)
            port = _running_port(home) if _is_held(home.keeper_lock.open("a")) else None
            if port is None:
                port = _start_keeper(home)
        options = "serverSelectionTimeoutMS=5000"
        try:
            yield Database(f"mongodb://{LOOPBACK}:{port}/?{options}", owned=True, port=port)
        finally:
            _leave(client, home)


def _lock(stream: TextIO, home: ReviewHome, *, shared: bool = False) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not try_lock(stream, shared=shared):
        if time.monotonic() > deadline:
            raise ConfigError(
                f"another process holds {stream.name} for more than {START_TIMEOUT_S:g} s; "
                f"see {home.keeper_log} and {home.mongod_log}"
            )
        time.sleep(0.1)


def _is_held(stream: TextIO) -> bool:
    with stream:
        return not try_lock(stream)


def _running_port(home: ReviewHome) -> int | None:
    """The port of the server that a living keeper has published; waits while it starts."""
    deadline = time.monotonic() + START_TIMEOUT_S
    port: int | None
    while time.monotonic() < deadline:
        try:
            port = int(json.loads(home.endpoint.read_text())["port"])
        except FileNotFoundError:
            port = None
        if port is not None and port_answers(port):
            return port
        # Not there yet, or killed and its keeper about to end.
        if not _is_held(home.keeper_lock.open("a")):
            return None
        time.sleep(0.1)
    raise ConfigError(f"the review database does not come up; see {home.mongod_log}")


def _start_keeper(home: ReviewHome) -> int:
    mongod = find_mongod()
    _check_version(home, mongod)
    home.endpoint.unlink(missing_ok=True)
    with home.keeper_log.open("wb") as log:
        keeper = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipeline.review.database.mongod_keeper"),
                *(str(home.root), str(mongod.path)),
            ],
            cwd=module_root(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C at the terminal is for the client; the keeper ends when the client has left.
            start_new_session=True,
        )
    while keeper.poll() is None:
        if home.endpoint.is_file():
            home.database_version.write_text(mongod.version)
            return int(json.loads(home.endpoint.read_text())["port"])
        time.sleep(0.05)
    raise ConfigError(
        f"the review database did not start with {mongod.path} (MongoDB {mongod.version}, "
        f"{mongod.origin}): {log_tail(home.keeper_log)}"
    )


def _check_version(home: ReviewHome, mongod: Mongod) -> None:
    """Data files are for the series that wrote them, or the next one."""
    try:
        written = home.database_version.read_text().strip()
    except FileNotFoundError:
        return
    major, minor = (int(part) for part in written.split(".")[:2])
    if mongod.series < (major, minor):
        raise ConfigError(
            f"the review database in {home.database} was written by MongoDB {written}; the "
            f"MongoDB at hand is {mongod.version} ({mongod.path}, {mongod.origin}) and cannot "
            f"open it. Name the newer one in $GLIPFORGE_MONGOD, or delete {home.root} and push "
            "again: only edits that were never pulled are lost"
        )


def _leave(client: TextIO, home: ReviewHome) -> None:
    """Give the lock back; the last one out waits until the server has ended."""
    if not try_lock(client):
        return  # others still use the server
    unlock(client)
    deadline = time.monotonic() + END_TIMEOUT_S
    while _is_held(home.keeper_lock.open("a")):
        if time.monotonic() > deadline:
            raise ConfigError(f"the review database does not end; see {home.mongod_log}")
        time.sleep(0.05)
