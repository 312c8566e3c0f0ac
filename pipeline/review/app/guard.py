"""FiftyOne's App server behind a guard. Run as `python -m pipeline.review.app.guard`.

FiftyOne's server has no login, serves every file its user can read (`/media?filepath=...`), does
not check the Host header (DNS rebinding) and runs operators for any web page that posts to it.
The guard answers 403 to requests for a foreign host, to requests that another site's page makes,
and to files that are not a sample's image. It does not tell users of the same machine apart.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.review.child_process import LOOPBACK, end_with_parent

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL_HOSTS = frozenset({LOOPBACK, "localhost", "::1"})


def refusal(scope: Scope, *, any_host: bool) -> str | None:
    """Why a request is refused by its headers; None where it may pass.

    Args:
        scope: the ASGI scope of a request.
        any_host: True where the server listens on a public address by its user's will.
    """
    headers = {name.lower(): value for name, value in scope.get("headers") or ()}
    host = headers.get(b"host", b"").decode("latin-1")
    if not any_host and _hostname(host) not in LOCAL_HOSTS:
        return f"this server answers to localhost only, not to {host!r}"
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin.decode("latin-1")).netloc != host:
        return "a page of another site asked for this"
    foreign = headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
    if foreign and headers.get(b"sec-fetch-mode") != b"navigate":
        return "a page of another site asked for this"
    return None


def _hostname(host: str) -> str:
    return (urlsplit(f"//{host}").hostname or "").lower()


class Guard:
    """An ASGI application in front of FiftyOne's."""

    def __init__(self, app: App, *, is_image: Callable[[str], bool], any_host: bool) -> None:
        """Wrap `app`.

        Args:
            app: the application to guard.
            is_image: True where a path is the image of a sample.
            any_host: see `refusal`.
        """
        self._app = app
        self._is_image = is_image
        self._any_host = any_host
        self._known: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] in ("http", "websocket"):
            reason = refusal(scope, any_host=self._any_host) or await self._media_refusal(scope)
            if reason is not None:
                await _forbid(scope, send, reason)
                return
        await self._app(scope, receive, send)

    async def _media_refusal(self, scope: Scope) -> str | None:
        if scope.get("path") != "/media":
            return None
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        for path in query.get("filepath", ()):
            if path not in self._known:
                if not await asyncio.to_thread(self._is_image, path):
                    return "this server shows the images of samples only"
                self._known.add(path)
        return None


async def _forbid(scope: Scope, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    body = f"403: {reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def sample_image_test(uri: str, database_name: str) -> Callable[[str], bool]:
    """A function that looks a path up in every dataset; FiftyOne keeps an index on it."""
    from pymongo import MongoClient

    database: Any = MongoClient(uri)[database_name]

    def is_image(path: str) -> bool:
        return any(
            database[entry["sample_collection_name"]].find_one({"filepath": path}, {"_id": 1})
            for entry in database["datasets"].find({}, {"sample_collection_name": 1})
        )

    return is_image


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True)
    args = parser.parse_args()
    end_with_parent()
    from fiftyone.server import main as server

    any_host = args.address not in LOCAL_HOSTS
    is_image = sample_image_test(
        os.environ["FIFTYONE_DATABASE_URI"], os.environ["FIFTYONE_DATABASE_NAME"]
    )
    server.app = Guard(server.app, is_image=is_image, any_host=any_host)
    server.start_server(port=args.port, address=args.address)


if __name__ == "__main__":
    main()
