"""The guard in front of FiftyOne's server."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from pipeline.review.app.guard import Guard, refusal


def scope(path: str = "/", query: str = "", **headers: str) -> dict[str, Any]:
    headers = {"host": "127.0.0.1:5151"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return {
        "type": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


@pytest.mark.parametrize("host", ["127.0.0.1:5151", "localhost", "LOCALHOST:99", "[::1]:5151"])
def test_local_hosts_pass(host: str) -> None:
    assert refusal(scope(host=host), any_host=False) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example"]
)
def test_foreign_hosts_do_not(host: str) -> None:
    reason = refusal(scope(host=host), any_host=False)
    assert reason == f"this server answers to localhost only, not to {host!r}"
    assert refusal(scope(host=host), any_host=True) is None


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:80"])
def test_a_foreign_origin_does_not_pass_even_on_a_public_address(origin: str) -> None:
    reason = refusal(scope(origin=origin), any_host=True)
    assert reason == "a page of another site asked for this"


def test_the_own_origin_passes() -> None:
    assert refusal(scope(origin="http://127.0.0.1:5151"), any_host=False) is None


def test_links_from_elsewhere_pass_but_embedded_requests_do_not() -> None:
    foreign = {"sec_fetch_site": "cross-site"}
    assert refusal(scope(**foreign, sec_fetch_mode="navigate"), any_host=False) is None
    assert refusal(scope(**foreign, sec_fetch_mode="no-cors"), any_host=False) is not None


def ask(guard: Guard, request: dict[str, Any]) -> list[MutableMapping[str, Any]]:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    asyncio.run(guard(request, receive, send))
    return sent


async def inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "passed"})


def test_only_images_of_samples_are_served() -> None:
    asked: list[str] = []

    def is_image(path: str) -> bool:
        asked.append(path)
        return path == "/images/a b#犬.jpg"

    guard = Guard(inner, is_image=is_image, any_host=False)
    good = scope("/media", "filepath=%2Fimages%2Fa+b%23%E7%8A%AC.jpg")
    assert ask(guard, good) == [{"type": "passed"}]
    assert ask(guard, good) == [{"type": "passed"}]
    assert len(asked) == 1  # known paths are remembered
    refused = ask(guard, scope("/media", "filepath=/etc/passwd"))
    assert refused[0]["status"] == 403
    assert refused[1]["body"] == b"403: this server shows the images of samples only\n"
    assert (
        ask(guard, scope("/media", "filepath=%2Fimages%2Fa+b%23%E7%8A%AC.jpg&filepath=/etc/x"))[0][
            "status"
        ]
        == 403
    )


def test_the_server_keeps_its_own_answers_and_start_up() -> None:
    guard = Guard(inner, is_image=lambda path: False, any_host=False)
    assert ask(guard, {"type": "lifespan"}) == [{"type": "passed"}]
    assert ask(guard, scope("/media")) == [{"type": "passed"}]  # its own 400


def test_a_foreign_websocket_is_closed() -> None:
    guard = Guard(inner, is_image=lambda path: False, any_host=False)
    request = scope(origin="http://evil.example") | {"type": "websocket"}
    assert ask(guard, request)[0]["type"] == "websocket.close"
