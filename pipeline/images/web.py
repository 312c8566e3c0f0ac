"""GET over HTTP from servers that nobody vouches for: one pool of kept connections a process.

Every fetch has one deadline over all its attempts and redirects, and a cap on its bytes.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import unquote, urljoin

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationParseError,
    LocationValueError,
    NameResolutionError,
    SSLError,
)
from urllib3.util import Retry, Url, make_headers, parse_url

from pipeline.images.access import ANYTHING, WEB, ImageAccess
from pipeline.images.connections import Admit, Fetch, TooLate, manager, proxy_of, watched
from schemas.errors import GlipforgeError, RecordError
from schemas.records import Status

WEB_ATTEMPTS = 3
WEB_DEADLINE_S = 60.0
"""Of one image: all attempts, waits and redirects."""
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 20.0
MAX_REDIRECTS = 10
FIRST_WAIT_S = 0.5
"""Before the second attempt where the server names no time; twice as long before each further."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be answered."""
_MOVED = (301, 302, 303, 307, 308)
_CHUNK = 1 << 18
_HEADERS = {"User-Agent": "glipforge", "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}


def fetch_web(
    url: str, max_bytes: int, *, access: ImageAccess = ANYTHING, admit: Admit = lambda size: None
) -> bytes:
    """The body of an `http(s)://` URL; blanks and letters that are not ASCII are escaped.

    Raises:
        RecordError: IMAGE_MISSING, with the last reason; IMAGE_TOO_LARGE.
    """
    fetch = Fetch(max_bytes, access, admit, time.monotonic() + WEB_DEADLINE_S)
    reason = ""
    with watched(fetch):
        try:
            for attempt in range(WEB_ATTEMPTS):
                try:
                    return _follow(url, fetch)
                except _Failed as failed:
                    reason = str(failed)
                    wait = failed.wait_s or FIRST_WAIT_S * 2**attempt
                    if not failed.is_passing or attempt == WEB_ATTEMPTS - 1:
                        break
                if wait > fetch.left():
                    reason += f"; it asks to wait {wait:.0f} s, longer than there is"
                    break
                time.sleep(wait)
        except TooLate:
            said = f"; before: {reason}" if reason else ""
            reason = f"not whole within {WEB_DEADLINE_S:g} s{said}"
    raise RecordError(Status.IMAGE_MISSING, f"{url} cannot be fetched: {reason}")


class _Failed(Exception):
    """One attempt failed. `wait_s` is what the server asks for, 0 where it says nothing."""

    def __init__(self, reason: str, *, is_passing: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.is_passing = is_passing
        self.wait_s = wait_s


# --- one attempt -------------------------------------------------------------------------------


def _follow(url: str, fetch: Fetch) -> bytes:
    """The body behind a URL and its redirects."""
    address = _parse(url)
    auth = address.auth
    for _ in range(MAX_REDIRECTS + 1):
        answer = _ask(address, auth, fetch)
        try:
            target = answer.headers.get("Location") if answer.status in _MOVED else None
            if target is None:
                return _body(url, answer, fetch)
        finally:
            _let_go(answer)
        before = address
        address = _parse(urljoin(address.url, target))
        if (address.scheme, address.host, address.port) != (
            before.scheme,
            before.host,
            before.port,
        ):
            auth = address.auth  # a password is for the server that it was given for
    raise _Failed(f"more than {MAX_REDIRECTS} redirects")


def _let_go(answer: urllib3.BaseHTTPResponse) -> None:
    """Keep the connection where what is left of the answer is short; else close it."""
    if answer.length_remaining is not None and answer.length_remaining <= _CHUNK:
        with contextlib.suppress(Exception):
            answer.drain_conn()
            answer.release_conn()
            return
    answer.close()


def _parse(url: str) -> Url:
    try:
        address = parse_url(url)
    except (HTTPError, ValueError) as error:
        raise _Failed(f"not a valid URL: {error}") from error
    if address.scheme not in WEB or not address.host:
        raise _Failed(f"{url[:200]!r} is not an http:// or https:// URL with a host")
    return address


def _ask(address: Url, auth: str | None, fetch: Fetch) -> urllib3.BaseHTTPResponse:
    left = fetch.left()
    timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, left), read=min(READ_TIMEOUT_S, left))
    headers = dict(_HEADERS)
    if auth:
        headers |= make_headers(basic_auth=unquote(auth))
    proxy = proxy_of(address)
    if proxy and fetch.access.untrusted:
        _require_public_name(address, fetch.access)
    with _explained(fetch):
        return manager(proxy, fetch.access.untrusted).request(
            "GET",
            address._replace(auth=None).url,
            headers=headers,
            timeout=timeout,
            redirect=False,
            retries=False,
            preload_content=False,
        )


def _body(url: str, answer: urllib3.BaseHTTPResponse, fetch: Fetch) -> bytes:
    if answer.status != 200:
        wait = answer.headers.get("Retry-After")
        raise _Failed(
            f"HTTP {answer.status} {answer.reason or ''}".rstrip(),
            is_passing=answer.status in _PASSING,
            wait_s=_seconds(wait) if wait else 0.0,
        )
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and len(announced) < 20:
        _require_size(url, int(announced), fetch)
    body = io.BytesIO()  # hands its bytes over without a copy
    with _explained(fetch):
        while chunk := answer.read(_CHUNK):
            _require_size(url, body.tell() + len(chunk), fetch)
            body.write(chunk)
            fetch.left()
        fetch.left()  # a socket that the watcher has shut may look like the end of the body
    return body.getvalue()


def _require_size(url: str, size: int, fetch: Fetch) -> None:
    if size > fetch.max_bytes:
        raise RecordError(
            Status.IMAGE_TOO_LARGE,
            f"{url} has more than {fetch.max_bytes:,} bytes; so many are not read",
        )
    fetch.admit(size)


def _seconds(retry_after: str) -> float:
    try:
        return max(0.0, Retry().parse_retry_after(retry_after))
    except Exception:  # whatever a server writes there
        return 0.0


@contextlib.contextmanager
def _explained(fetch: Fetch) -> Iterator[None]:
    """Whatever an exchange with a server raises is a reason."""
    try:
        yield
    except (TooLate, _Failed, GlipforgeError):
        raise
    except Exception as error:
        if fetch.is_late or time.monotonic() > fetch.deadline:
            raise TooLate from error
        lasting = (
            LocationParseError,
            LocationValueError,
            NameResolutionError,
            SSLError,
            ssl.SSLError,
            UnicodeError,
        )
        is_passing = isinstance(error, HTTPError | http.client.HTTPException | OSError)
        raise _Failed(
            f"{type(error).__name__}: {_said(error)}",
            is_passing=is_passing and not isinstance(error, lasting),
        ) from error


def _said(error: Exception) -> str:
    # urllib3 puts its own objects in front: `HTTPConnection(host=..., port=80): ...`
    text = re.sub(r"^<[^>]*>: |^[A-Za-z_]*(?:Http|HTTP)[A-Za-z_]*\([^)]*\): ", "", str(error))
    return re.sub(r"\[Errno -?\d+\] ", "", text)


def _require_public_name(address: Url, access: ImageAccess) -> None:
    """Behind a proxy the proxy connects: what the name means here is all that can be checked."""
    host = address.host or ""
    try:
        found = socket.getaddrinfo(host.strip("[]"), address.port or 80, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Failed(f"no address for {host!r}: {error}") from error
    for *_, sockaddr in found:
        access.require_address(host, str(sockaddr[0]))
