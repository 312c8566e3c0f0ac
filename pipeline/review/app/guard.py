"""FiftyOne's App server behind a guard. Run as `python -m pipeline.review.app.guard`.

FiftyOne's server has no login, serves every file its user can read (`/media?filepath=...`), does
not check the Host header (DNS rebinding) and runs operators for any web page that posts to it.
The guard answers 403 to requests for a foreign host, to requests that another site's page makes,
and to files that are not a sample's image. It does not tell users of the same machine apart.
Saves of Annotate mode do not reach FiftyOne's server at all: `sample_patch` does them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.images.palette import PALETTE, phrase_hex
from pipeline.review.app.sample_patch import Answer, SamplePatches, is_sample_write
from pipeline.review.child_process import LOOPBACK, end_with_parent
from pipeline.review.home import reviewer_name

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SETTINGS = "/glipforge/settings"
MAX_HEADER_BYTES = 1 << 20
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

    def __init__(
        self,
        app: App,
        *,
        is_image: Callable[[str], bool],
        any_host: bool,
        patches: SamplePatches | None = None,
    ) -> None:
        """Wrap `app`.

        Args:
            app: the application to guard.
            is_image: True where a path is the image of a sample.
            any_host: see `refusal`.
            patches: does what would change a sample; where None, such requests are refused.
        """
        self._app = app
        self._patches = patches
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
            if scope.get("path") == SETTINGS:
                await _send(send, await asyncio.to_thread(self._settings))
                return
            if is_sample_write(scope.get("method", ""), scope.get("path", "")):
                await self._save(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _settings(self) -> Answer:
        """What the page shares with Python."""
        content = {
            "colors": [phrase_hex(index) for index in range(len(PALETTE))],
            "reviewer": reviewer_name(None),
            "datasets": [] if self._patches is None else self._patches.dataset_ids(),
        }
        headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
        return Answer(status=200, body=json.dumps(content).encode(), headers=headers)

    async def _save(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._patches is None:
            await _forbid(scope, send, "samples cannot be changed here")
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # the browser left before it had sent the whole patch
            body += message.get("body", b"")
            more = bool(message.get("more_body"))
        headers = {name.lower(): value for name, value in scope.get("headers") or ()}
        answer = await asyncio.to_thread(
            self._patches.answer, scope["method"], scope["path"], headers, body
        )
        await _send(send, answer)

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
    plain = ((b"content-type", b"text/plain; charset=utf-8"),)
    await _send(send, Answer(status=403, body=body, headers=plain))


async def _send(send: Send, answer: Answer) -> None:
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def sample_image_test(database: Any) -> Callable[[str], bool]:
    """A function that looks a path up in every dataset; FiftyOne keeps an index on it."""

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
    parser.add_argument("--fd", type=int, required=True)  # a socket that listens there
    args = parser.parse_args()
    end_with_parent()
    os.environ["FIFTYONE_SERVER"] = "1"  # as FiftyOne's own starter does, before its import
    from fiftyone.server import events
    from fiftyone.server.app import app
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from pymongo import MongoClient

    client: Any = MongoClient(os.environ["FIFTYONE_DATABASE_URI"])
    database = client[os.environ["FIFTYONE_DATABASE_NAME"]]
    guard: Any = Guard(
        app,
        is_image=sample_image_test(database),
        any_host=args.address not in LOCAL_HOSTS,
        patches=SamplePatches(database),
    )
    config = Config()
    config.bind = [f"fd://{args.fd}"]
    # The ids of all boxes of a crowded image are one header.
    config.h11_max_incomplete_size = MAX_HEADER_BYTES
    events.set_port(args.port)
    asyncio.run(serve(guard, config))


if __name__ == "__main__":
    main()
