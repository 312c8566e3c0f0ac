"""Starting and ending the App server as a process of its own."""

from __future__ import annotations

import errno
import getpass
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.review.app.guard import LOCAL_HOSTS
from pipeline.review.child_process import (
    LOOPBACK,
    log_tail,
    module_root,
    stop_child,
)
from pipeline.review.database.server import Database
from pipeline.review.home import (
    ENV_HOME,
    ENV_REVIEWER,
    ReviewHome,
    fiftyone_environment,
    reviewer_name,
)
from schemas.errors import ConfigError, GlipforgeError, reason_of

DEFAULT_PORT = 5151
BACKLOG = 128
READY_TIMEOUT_S = 300.0
END_PATIENCE_S = 10.0
REMOTE_REASONS = (
    "the App has no login: whoever reaches the port can read and change every dataset of the "
    "review database and run its operators; the traffic is not encrypted; and MongoDB beside it "
    "has no login either"
)


@dataclass(frozen=True, slots=True)
class AppServer:
    """A server that answers."""

    address: str
    port: int
    process: subprocess.Popen[bytes]

    def url(self, dataset: str) -> str:
        """The page of a dataset."""
        return f"http://{self.address}:{self.port}/datasets/{quote(dataset)}"

    def tunnel(self) -> str:
        """The command that brings the App to another machine's browser."""
        target = f"{getpass.getuser()}@{socket.gethostname()}"
        return f"ssh -N -L {self.port}:{LOOPBACK}:{self.port} {target}"


def check_address(address: str, *, allow_remote: bool) -> None:
    """Refuse an address that other machines can reach, unless that is wanted.

    Raises:
        ConfigError: with the reasons.
    """
    if address not in LOCAL_HOSTS and not allow_remote:
        raise ConfigError(
            f"address {address!r} is not the loopback interface: {REMOTE_REASONS}. Use an ssh "
            f"tunnel (ssh -N -L {DEFAULT_PORT}:{LOOPBACK}:{DEFAULT_PORT} this-host), or, on a "
            "closed network, add --allow-remote"
        )


def listening_socket(port: int | None, address: str = LOOPBACK) -> socket.socket:
    """A socket that listens on `port`; where that is None on the usual port, or any free one.

    The server gets it as it is: a port that is only looked at could be gone when its server, which
    needs seconds to start, comes to listen.

    Raises:
        ConfigError: the wanted port is taken (attaching to what answers there would show other
            data), or the address is not one of this machine.
    """
    if port is not None and not 0 < port < 65536:
        raise ConfigError(f"port must be in [1, 65535], got {port}")
    for wanted in (DEFAULT_PORT, 0) if port is None else (port,):
        try:
            return _listen(wanted, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(
                    f"the app cannot listen on address {address!r}, port {wanted}: "
                    f"{reason_of(error)}"
                ) from error
    if port is None:
        raise ConfigError(f"no port of address {address!r} is free")
    raise ConfigError(f"port {port} is taken by another program; choose another with --port")


def _listen(port: int, address: str) -> socket.socket:
    family, kind, number, _, place = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, number)
    try:
        # A server that starts again must not wait for the last connections to time out.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


@contextmanager
def run_server(
    home: ReviewHome,
    database: Database,
    *,
    address: str = LOOPBACK,
    port: int | None = None,
    allow_remote: bool = False,
    reviewer: str | None = None,
) -> Iterator[AppServer]:
    """Serve the App for the length of a `with` block; ready when the block is entered.

    Each reviewer has a process: FiftyOne keeps one session (view, selection, open sample) for all
    browsers of a server.

    Raises:
        ConfigError: the address or port cannot be used.
        GlipforgeError: the server ended or did not answer in time.
    """
    check_address(address, allow_remote=allow_remote)
    with listening_socket(port, address) as listener:
        yield from _serve(home, database, address, listener, reviewer)


def _serve(
    home: ReviewHome,
    database: Database,
    address: str,
    listener: socket.socket,
    reviewer: str | None,
) -> Iterator[AppServer]:
    port = int(listener.getsockname()[1])
    environment = {
        **os.environ,
        **fiftyone_environment(home, database.uri),
        "FIFTYONE_DEFAULT_APP_PORT": str(port),
        "FIFTYONE_DEFAULT_APP_ADDRESS": address,
        ENV_REVIEWER: reviewer_name(reviewer),
        ENV_HOME: str(home.root),
    }
    log_file = home.server_log(port)
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipeline.review.app.guard"),
                *("--port", str(port), "--address", address, "--fd", str(listener.fileno())),
            ],
            pass_fds=[listener.fileno()],
            cwd=module_root(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    listener.close()  # the server's alone: with its end the port is free
    try:
        _wait_until_ready(process, port, log_file)
        yield AppServer(address, port, process)
    finally:
        stop_child(process, patience_s=END_PATIENCE_S)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise GlipforgeError(
                f"the App server ended with code {process.returncode}: {log_tail(log_file)}"
            )
        if _version_at(port) is not None:
            return
        time.sleep(0.2)
    raise GlipforgeError(
        f"the App server did not answer within {READY_TIMEOUT_S:g} s: {log_tail(log_file)}"
    )


def _version_at(port: int) -> str | None:
    """FiftyOne's version where its server answers; None where nothing does yet."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/fiftyone", timeout=5) as answer:
            return str(json.load(answer)["version"])
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None
