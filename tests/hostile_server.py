"""A web server on this machine that answers as a test says, byte by byte: also what is no HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Speak = Callable[[socket.socket], None]
"""Writes whatever it wants to the socket; the connection is closed behind it."""


def answer(
    body: bytes, *, status: str = "200 OK", headers: str = "", length: int | None = None
) -> bytes:
    """A whole answer; `length` lies about the body, -1 leaves the header out."""
    said = "" if length == -1 else f"Content-Length: {len(body) if length is None else length}\r\n"
    return f"HTTP/1.1 {status}\r\n{said}{headers}\r\n".encode() + body


def say(*parts: bytes) -> Speak:
    """Send the parts."""

    def speak(client: socket.socket) -> None:
        for part in parts:
            client.sendall(part)

    return speak


def drip(first: bytes, byte: bytes, pause_s: float) -> Speak:
    """Send `first`, then one byte after another until the other side has enough."""

    def speak(client: socket.socket) -> None:
        client.sendall(first)
        for _ in range(10_000):
            time.sleep(pause_s)
            client.sendall(byte)

    return speak


def endless(first: bytes, chunk: bytes) -> Speak:
    """Send `first`, then `chunk` as fast as it is taken."""

    def speak(client: socket.socket) -> None:
        client.sendall(first)
        while True:
            client.sendall(chunk)

    return speak


@dataclass
class HostileServer:
    """`replies` by request path, in turn; the last one stays. `asked` counts the requests."""

    replies: dict[str, list[bytes | Speak]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(20)
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    piece = client.recv(65536)
                    if not piece:
                        return
                    head += piece
                self.requests.append(head)
                path = head.split(b" ", 2)[1].decode("latin-1")
                self.asked[path] += 1
                replies = self.replies.get(path) or [answer(b"", status="404 Not Found")]
                reply = replies[min(self.asked[path], len(replies)) - 1]
                if callable(reply):
                    reply(client)
                    return
                client.sendall(reply)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()


@contextlib.contextmanager
def hostile_server() -> Iterator[HostileServer]:
    """Runs until the `with` block ends."""
    server = HostileServer()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        server.port = listener.getsockname()[1]
        threading.Thread(target=server._accept, args=(listener,), daemon=True).start()
        yield server
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
