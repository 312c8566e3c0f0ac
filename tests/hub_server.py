"""A server on this machine that answers as the Hugging Face hub does, and fails on command.

`root/owner/name/FILE` is what `owner/name` holds; every state of a folder is a commit of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".pth")
"""Kept as large files by the hub: their ETag is their sha256, that of others is git's hash."""
_INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with requests whose "METHOD path" a pattern finds.

    status, code, headers: an answer in place of the right one.
    cut: bytes of the body after which the connection ends.
    flip: send other bytes of the same length.
    times: how often.
    """

    on: str
    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = -1
    flip: bool = False
    times: int = 1_000_000


class HubServer(ThreadingHTTPServer):
    """Use it as a context; `url` is its address, `requests` what it was asked."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.gated: set[str] = set()
        self.lists_names_only = False
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def commit(self, repo: str) -> str:
        """The commit of a repository as its folder is now."""
        found = [(p.name, p.read_bytes()) for p in sorted((self.root / repo).iterdir())]
        return hashlib.sha1(repr(found).encode()).hexdigest()

    def fault_of(self, request: str) -> Fault | None:
        """The first fault that is left for a request."""
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.on, request):
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self) -> None:
        request = f"{self.command} {unquote(self.path)}"
        self.server.requests.append(request)
        fault = self.server.fault_of(request)
        if fault is not None and fault.status:
            self._fail(fault.status, fault.code, fault.headers)
            return
        path = unquote(urlsplit(self.path).path)
        asked = _INFO.fullmatch(path) or _FILE.fullmatch(path)
        if asked is None or not (self.server.root / asked["repo"]).is_dir():
            self._fail(401 if asked else 404, "RepoNotFound" if asked else "")
            return
        repo = asked["repo"]
        commit = self.server.commit(repo)
        if (asked["revision"] or "main") not in ("main", commit):
            self._fail(404, "RevisionNotFound")
        elif asked.re is _INFO:
            self._send(200, json.dumps(self._info(repo, commit)).encode(), {}, fault)
        elif repo in self.server.gated:
            self._fail(401, "GatedRepo")
        elif not (self.server.root / repo / asked["name"]).is_file():
            self._fail(404, "EntryNotFound", {"X-Repo-Commit": commit})
        else:
            body = (self.server.root / repo / asked["name"]).read_bytes()
            head = {"X-Repo-Commit": commit, "ETag": f'"{_etag(asked["name"], body)}"'}
            self._send(200, body, head, fault)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _info(self, repo: str, commit: str) -> dict[str, Any]:
        siblings = []
        for path in sorted((self.server.root / repo).iterdir()):
            body = path.read_bytes()
            entry: dict[str, Any] = {"rfilename": path.name}
            if not self.server.lists_names_only:
                entry |= {"size": len(body), "blobId": _git_hash(body)}
                if path.suffix in LARGE:
                    entry["lfs"] = {
                        "sha256": _etag(path.name, body),
                        "size": len(body),
                        "pointerSize": 134,
                    }
                    entry["blobId"] = _git_hash(b"the pointer to it")
            siblings.append(entry)
        return {"id": repo, "sha": commit, "siblings": siblings}

    def _fail(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        marks = {"X-Error-Code": code} if code else {}
        self._send(status, b"{}", {**marks, **(headers or {})}, None)

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str], fault: Fault | None
    ) -> None:
        if fault is not None and fault.flip:
            body = bytes(byte ^ 255 for byte in body)
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if start and status == 200:
            status, whole, body = 206, len(body), body[int(start[1]) :]
            headers = {**headers, "Content-Range": f"bytes {start[1]}-{whole - 1}/{whole}"}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.cut >= 0:
            self.close_connection = True
            body = body[: fault.cut]
        self.wfile.write(body)


def _etag(name: str, body: bytes) -> str:
    return hashlib.sha256(body).hexdigest() if name.endswith(LARGE) else _git_hash(body)


def _git_hash(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
