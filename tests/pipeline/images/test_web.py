"""Fetching from servers that do what they want: bytes, or a row's reason; never anything else."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipeline.images import web
from pipeline.images.connections import NotAdmitted
from pipeline.images.fetch import read_image_uri
from schemas.errors import RecordError
from schemas.records import Status
from tests.hostile_server import HostileServer, answer, drip, endless, hostile_server, say

DATA = bytes(range(256)) * 40


def reason(url: str, **options) -> str:
    with pytest.raises(RecordError) as caught:
        read_image_uri(url, **options)
    assert caught.value.status == Status.IMAGE_MISSING
    return caught.value.detail


@pytest.mark.parametrize(
    "written, asked",
    [
        ("/a b.jpg", "/a%20b.jpg"),
        ("/日本.jpg", "/%E6%97%A5%E6%9C%AC.jpg"),
        ("/caf\u00e9?q=d\u00e9j\u00e0 vu", "/caf%C3%A9?q=d%C3%A9j%C3%A0%20vu"),
        ("/a%20b%2Fc.jpg", "/a%20b%2Fc.jpg"),
        ("/100%.jpg", "/100%25.jpg"),
        ('/a|b<c>"^`{}.jpg', "/a%7Cb%3Cc%3E%22%5E%60%7B%7D.jpg"),
        ("/a\tb\x01c.jpg", "/a%09b%01c.jpg"),
        ("/x.jpg#part", "/x.jpg"),
        ("", "/"),
        ("?a=1", "/?a=1"),
    ],
)
def test_addresses_as_people_write_them_are_fetched(
    server: HostileServer, written: str, asked: str
) -> None:
    server.replies[asked] = [answer(DATA)]
    assert read_image_uri(server.url + written) == DATA


@pytest.mark.parametrize("change", [str.upper, lambda url: f"  {url}\n", lambda url: f"\t{url}"])
def test_case_and_blanks_around_an_address_do_not_matter(server: HostileServer, change) -> None:
    server.replies["/X"] = server.replies["/x"] = [answer(DATA)]
    assert read_image_uri(change(f"{server.url}/x")) == DATA


def test_interim_answers_are_passed_over(server: HostileServer) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    server.replies["/x"] = [say(hints + whole)]
    assert read_image_uri(f"{server.url}/x") == b"abc"
    server.replies["/y"] = [say(hints * 50 + whole)]
    assert "more than 8 interim answers" in reason(f"{server.url}/y")


def test_a_connection_is_used_again(server: HostileServer) -> None:
    for number in range(20):
        server.replies[f"/{number}"] = [answer(DATA)]
        read_image_uri(f"{server.url}/{number}")
    assert server.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\0" * 100,
        b"hello\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        answer(DATA, length=len(DATA) + 5),
        answer(b"", status="302 Found", headers="Location: http://[::1\r\n"),
        answer(b"", status="302 Found", headers="Location: file:///etc/passwd\r\n"),
        answer(b"", status="302 Found", headers="Location: ftp://127.0.0.1/x\r\n"),
        answer(b"", status="302 Found", headers="Location: /x\r\n"),
        answer(b"", status="204 No Content"),
        answer(DATA, status="404 Not Found"),
        answer(DATA, status="500 Broken"),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    ],
    ids=range(20),
)
def test_whatever_a_server_says_is_a_reason(server: HostileServer, reply: bytes) -> None:
    server.replies["/x"] = [say(reply)]
    assert server.url in reason(f"{server.url}/x")


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x.jpg",
        "http://127.0.0.1:x/y",
        "http://127.0.0.1:99999/y",
        "http://[::1/y",
        "http://a..b/x",
        "http://" + "a" * 300 + "/x",
        "http://\u2603\u2603.invalid/",
        "http://xn--/",
        "https://127.0.0.1:1/x",
        "htp://x/y",
        "ftp://127.0.0.1/x",
        "data://x",
        "local:///etc/passwd",
        "simplecache::file:///etc/passwd",
        "gs://bucket/x.jpg",
        "s3:///x.jpg",
        "s3://BAD bucket!/x.jpg",
        "file://",
        "x://",
    ],
)
def test_whatever_an_address_is_it_is_a_reason(
    server: HostileServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    assert reason(url)


def test_a_body_that_breaks_off_is_asked_for_again(server: HostileServer) -> None:
    server.replies["/x"] = [say(answer(DATA[:-9], length=len(DATA))), answer(DATA)]
    assert read_image_uri(f"{server.url}/x") == DATA


def test_a_server_says_when_to_come_back(server: HostileServer) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    server.replies["/x"] = [
        answer(b"", status="429 Slow", headers="Retry-After: 0\r\n"),
        answer(b"", status="503 Busy", headers=f"Retry-After: {soon}\r\n"),
        answer(DATA),
    ]
    assert read_image_uri(f"{server.url}/x") == DATA
    server.replies["/y"] = [answer(b"", status="503 Busy", headers="Retry-After: 3600\r\n")]
    began = time.monotonic()
    assert "asks to wait 3600 s" in reason(f"{server.url}/y")
    assert time.monotonic() - began < 600  # it did not wait
    server.replies["/z"] = [answer(b"", status="429 Slow", headers="Retry-After: \x00\xff,x\r\n")]
    assert "HTTP 429" in reason(f"{server.url}/z")
    assert server.asked["/z"] == web.WEB_ATTEMPTS


@pytest.mark.parametrize(
    "speak",
    [
        drip(answer(b"", length=10**6), b"x", 0.1),
        drip(answer(b"", length=-1), b"x", 0.1),
        drip(b"HTTP/1.1 200 OK\r\n", b"x", 0.1),
        drip(b"", b"H", 0.1),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.1),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        lambda client: time.sleep(600),
    ],
    ids=["body", "no length", "headers", "status", "chunks", "flood of 100", "drip of 100", "mute"],
)
def test_no_server_holds_a_fetch_over_its_deadline(
    server: HostileServer, speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would go on for minutes."""
    monkeypatch.setattr(web, "WEB_DEADLINE_S", 0.5)
    server.replies["/x"] = [speak]
    began = time.monotonic()
    assert "not whole within 0.5 s" in reason(f"{server.url}/x")
    assert time.monotonic() - began < 60


def test_more_bytes_than_are_allowed_are_not_read(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.images.fetch.MAX_IMAGE_BYTES", 10**6)
    server.replies["/said"] = [answer(b"", length=10**12)]
    server.replies["/flood"] = [endless(answer(b"", length=-1), bytes(65536))]
    for path in ("/said", "/flood"):
        with pytest.raises(RecordError, match="more than 1,000,000 bytes") as caught:
            read_image_uri(server.url + path)
        assert caught.value.status == Status.IMAGE_TOO_LARGE


def test_what_is_not_admitted_is_not_read(server: HostileServer) -> None:
    def admit(size: int) -> None:
        if size > 1000:
            raise NotAdmitted("no")

    server.replies["/x"] = [answer(DATA)]
    with pytest.raises(NotAdmitted):
        read_image_uri(f"{server.url}/x", admit=admit)
    assert read_image_uri(f"{server.url}/x") == DATA


def test_redirects_are_followed_and_a_password_stays_with_its_server(server: HostileServer) -> None:
    with hostile_server() as other:
        server.replies["/a"] = [answer(b"", status="301 Moved", headers="Location: /b c\r\n")]
        server.replies["/b%20c"] = [
            answer(b"", status="307 Moved", headers=f"Location: {other.url}/d\r\n")
        ]
        other.replies["/d"] = [answer(DATA)]
        url = server.url.replace("://", "://me:p%40ss@")
        assert read_image_uri(f"{url}/a") == DATA
        assert all(b"asic bWU6cEBzcw==" in head for head in server.requests)
        assert b"uthorization" not in other.requests[0]


def test_fetches_of_many_threads_share_the_watcher(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies["/drip"] = [drip(answer(b"", length=10**6), b"x", 0.05)]
    server.replies["/good"] = [answer(DATA)]
    found: list[object] = []

    def fetch(path: str) -> None:
        try:
            found.append(read_image_uri(server.url + path) == DATA)
        except RecordError as error:
            found.append("not whole" in error.detail)

    threads = [threading.Thread(target=fetch, args=("/drip",)) for _ in range(6)]
    threads += [threading.Thread(target=fetch, args=("/good",)) for _ in range(18)]
    monkeypatch.setattr(web, "WEB_DEADLINE_S", 2.0)
    for thread in threads[:6]:
        thread.start()
    while server.asked["/drip"] < 6 and any(thread.is_alive() for thread in threads[:6]):
        time.sleep(0.01)
    # Their end is fixed; the good ones may take longer on a busy machine.
    monkeypatch.setattr(web, "WEB_DEADLINE_S", 120.0)
    for thread in threads[6:]:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == [True] * 24
