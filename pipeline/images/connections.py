"""Kept connections of a process, their deadlines, and the check of the addresses they go to.

A server that sends a byte now and then holds a socket open without end, whatever time-outs it
has: a watcher shuts the socket of a fetch that is over its deadline.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util import Url, connection

from pipeline.images.access import ImageAccess
from schemas.errors import GlipforgeError

_WATCH_EVERY_S = 0.1
MAX_INTERIM = 8
Admit = Callable[[int], None]
"""Called with the bytes that are known to come; raises `NotAdmitted` to have none read."""


class NotAdmitted(GlipforgeError):
    """`Admit` has no room: the image is not read now."""


class TooLate(Exception):
    """The deadline is over, or would be before the next attempt."""


@dataclass(slots=True, eq=False)
class Fetch:
    """One image on its way; `sock` is what the watcher shuts."""

    max_bytes: int
    access: ImageAccess
    admit: Admit
    deadline: float
    sock: socket.socket | None = None
    is_late: bool = False

    def left(self) -> float:
        """Seconds to the deadline; raises `TooLate` behind it."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0 or self.is_late:
            raise TooLate
        return seconds


# --- connections -------------------------------------------------------------------------------

_current = threading.local()
"""`.fetch`: what the thread is fetching; a connection belongs to whichever thread uses it."""


class _FinalAnswer(http.client.HTTPResponse):
    """The answer behind interim ones, such as 103 Early Hints; Python skips 100 alone."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM + 1):
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 101 < found[1] < 200:
                return found
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {MAX_INTERIM} interim answers")


class _Watched:
    """A connection that tells the fetch of its thread, and checks the addresses of its host."""

    response_class: Any = _FinalAnswer

    def _new_conn(self: Any) -> socket.socket:
        fetch: Fetch = _current.fetch
        options = (self.timeout, self.source_address, self.socket_options)
        error: OSError | None = None
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as failed:
            if getattr(failed, "errno", None) == socket.EAI_AGAIN:
                raise NewConnectionError(self, f"no address for {self.host!r} now") from failed
            raise NameResolutionError(self.host, self, failed) from failed  # type: ignore[arg-type]
        for *_, address in found:
            if getattr(self, "checks_addresses", True):
                fetch.access.require_address(self.host, str(address[0]))
        for *_, address in found:
            try:
                fetch.left()
                # The address that was checked, not the name: it may have another the next moment.
                return connection.create_connection((str(address[0]), self.port), *options)
            except OSError as failed:
                error = failed
        raise NewConnectionError(self, f"cannot connect: {error}") from error

    def connect(self: Any) -> None:
        super().connect()  # type: ignore[misc]
        _current.fetch.sock = self.sock

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        # Kept here too: the connection forgets its socket before the body is read.
        _current.fetch.sock = self.sock
        super().request(*args, **kwargs)  # type: ignore[misc]


class _Http(_Watched, HTTPConnection):
    pass


class _Https(_Watched, HTTPSConnection):
    pass


class _ProxyHttp(_Http):
    checks_addresses = False  # of the proxy, which the user chose


class _ProxyHttps(_Https):
    checks_addresses = False


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _ProxyHttpPool(HTTPConnectionPool):
    ConnectionCls = _ProxyHttp


class _ProxyHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _ProxyHttps


_managers: dict[tuple[str, bool], urllib3.PoolManager] = {}
_managers_lock = threading.Lock()


def manager(proxy: str, is_checked: bool) -> urllib3.PoolManager:
    """The pool of this process, direct or through a proxy."""
    # A kept connection was checked, or not, when it was made: the two never share one.
    with _managers_lock:
        if (proxy, is_checked) not in _managers:
            options: dict[str, Any] = {"num_pools": 128, "maxsize": 16, "retries": False}
            made: urllib3.PoolManager
            if proxy:
                made = urllib3.ProxyManager(proxy, **options)
                made.pool_classes_by_scheme = {"http": _ProxyHttpPool, "https": _ProxyHttpsPool}
            else:
                made = urllib3.PoolManager(**options)
                made.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
            _managers[proxy, is_checked] = made
        return _managers[proxy, is_checked]


def proxy_of(address: Url) -> str:
    """The proxy that the environment names for a URL; empty for none."""
    host = address.host or ""
    proxy = urllib.request.getproxies().get(address.scheme or "", "")
    if not proxy or urllib.request.proxy_bypass(host):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


# --- the watcher -------------------------------------------------------------------------------

_under_way: set[Fetch] = set()
_changed = threading.Condition()
_watcher: threading.Thread | None = None


@contextlib.contextmanager
def watched(fetch: Fetch) -> Iterator[None]:
    """What this thread does inside is the fetch's; its socket is shut at the deadline."""
    global _watcher
    _current.fetch = fetch
    with _changed:
        _under_way.add(fetch)
        if _watcher is None:
            _watcher = threading.Thread(target=_watch, name="fetch-deadlines", daemon=True)
            _watcher.start()
        _changed.notify()
    try:
        yield
    finally:
        _current.fetch = None
        with _changed:
            _under_way.discard(fetch)


def _watch() -> None:
    while True:
        with _changed:
            while not _under_way:
                _changed.wait()
            now = time.monotonic()
            for fetch in _under_way:
                if now > fetch.deadline:
                    fetch.is_late = True
                    sock = fetch.sock
                    if isinstance(sock, socket.socket):
                        # Not `sock.shutdown`: that of TLS would turn the reader to plain bytes.
                        with contextlib.suppress(OSError, ValueError):
                            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        time.sleep(_WATCH_EVERY_S)


def _forget_all() -> None:
    """In a forked child: sockets and threads are the parent's."""
    global _watcher, _changed, _managers_lock
    _managers.clear()
    _under_way.clear()
    _watcher, _changed, _managers_lock = None, threading.Condition(), threading.Lock()


os.register_at_fork(after_in_child=_forget_all)
