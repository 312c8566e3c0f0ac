"""An S3 server on loopback, in this process, whose answers can be made to fail."""

from __future__ import annotations

import io
import logging
import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

BUCKET = "toy"
CODES = {
    403: "AccessDenied",
    409: "ConditionalRequestConflict",
    500: "InternalError",
    501: "NotImplemented",
    503: "SlowDown",
}


@dataclass(kw_only=True)
class Fault:
    """How some requests fail.

    method: GET, PUT, HEAD, DELETE.
    within: Text of their path.
    status: Code of the answer. 0: half of the right answer, then the connection ends.
    times: Requests that fail; then they succeed.
    is_late: The request takes effect, and only its answer is lost.
    """

    method: str
    within: str
    status: int
    times: int = 1
    is_late: bool = False
    done: int = 0

    def fits(self, method: str, path: str) -> bool:
        return method == self.method and self.within in path and self.done < self.times


@dataclass(kw_only=True)
class FaultyStore:
    """The server's application: moto, behind the faults.

    requests: Those that came, by method and path.
    ignores_conditions: If-None-Match is taken and does nothing, as some gateways have it.
    refuses_conditions: If-None-Match is an error, as of gateways that do not know it.
    drops: Share of requests whose connection ends without an answer, half of them before the
        request takes effect, half of them behind it.
    made: Conditional writes that succeeded, by path.
    """

    app: Any
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    ignores_conditions: bool = False
    refuses_conditions: bool = False
    drops: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        from werkzeug.wrappers import Request, Response

        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if self.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self._lock:
            self.requests[method, path] += 1
            fault = next((fault for fault in self.faults if fault.fits(method, path)), None)
            if fault is not None:
                fault.done += 1
            lost = self.rng.choice(("request", "answer")) if self.rng.random() < self.drops else ""
        if self.refuses_conditions and "HTTP_IF_NONE_MATCH" in environ:
            fault = Fault(method=method, within=path, status=501)
        if fault is None:
            return self._answer(environ, start_response, path, lost)
        request = Request(environ)
        request.get_data()  # else the client's next request would begin in its middle
        if fault.status == 0 or fault.is_late:
            environ["wsgi.input"] = request.stream
            answer = Response.from_app(self.app, environ, buffered=True)
            if fault.status == 0:
                body = answer.get_data()
                headers = [(k, v) for k, v in answer.headers if k.lower() != "content-length"]
                start_response(f"{answer.status_code} OK", [*headers, _length(body)])
                return [body[: len(body) // 2]]
        code = CODES[fault.status]
        text = f"<Error><Code>{code}</Code><Message>as asked for</Message></Error>".encode()
        start_response(f"{fault.status} {code}", [("Content-Type", "text/xml"), _length(text)])
        return [b"" if method == "HEAD" else text]

    def _answer(self, environ: dict[str, Any], start_response: Any, path: str, lost: str) -> Any:
        from werkzeug.wrappers import Request, Response

        environ["wsgi.input"] = io.BytesIO(Request(environ).get_data())
        if lost != "request":
            is_create = "HTTP_IF_NONE_MATCH" in environ
            answer = Response.from_app(self.app, environ, buffered=True)
            if is_create and answer.status_code == 200:
                with self._lock:
                    self.made[path] += 1
        if lost:
            with self._lock:
                self.dropped[lost] += 1
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError(f"the {lost} is lost, as asked for")
        return answer(environ, start_response)

    def count(self, method: str, within: str) -> int:
        """Requests with this method whose path has this text."""
        return sum(n for (m, path), n in self.requests.items() if m == method and within in path)


def _length(data: bytes) -> tuple[str, str]:
    return ("Content-Length", str(len(data)))


@contextmanager
def faulty_store() -> Iterator[FaultyStore]:
    """A server with an empty bucket; boto3 here and in child processes talks to it in the block."""
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request
    store = FaultyStore(app=DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings = {
        "AWS_ENDPOINT_URL": store.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        boto3.client("s3", endpoint_url=store.url).create_bucket(Bucket=BUCKET)
        yield store
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.shutdown()
        thread.join()
