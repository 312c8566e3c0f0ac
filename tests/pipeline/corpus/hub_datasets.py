"""A server on this machine that answers as the Hugging Face hub does about data sets.

`root/owner/name/` is the data set `owner/name`, with its folders.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

COMMIT = "c" * 40
_ASKED = re.compile(
    r"/api/datasets/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree|paths-info)/(?P<rev>[^/]+))?"
    r"(?:/(?P<path>.*))?"
)
_FILE = re.compile(r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)")


class DatasetHub(ThreadingHTTPServer):
    """Use it as a context; `url` is its address."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DatasetHub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := _FILE.fullmatch(path):
            file = self.server.root / found["repo"] / found["path"]
            if file.is_file():
                self._send(200, file.read_bytes())
            else:
                self._fail("EntryNotFound")
            return
        found = _ASKED.fullmatch(path)
        if found is None or not (self.server.root / found["repo"]).is_dir():
            self._fail("RepoNotFound")
            return
        repo = self.server.root / found["repo"]
        if found["what"] == "tree":
            folder = repo / (found["path"] or "")
            if not folder.is_dir():
                self._fail("EntryNotFound")
                return
            self._answer([_entry(repo, one) for one in sorted(folder.iterdir())])
        elif found["what"] == "paths-info":
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            try:
                asked = json.loads(form)["paths"]
            except ValueError:
                asked = [value for name, value in parse_qsl(form) if name == "paths"]
            asked = [asked] if isinstance(asked, str) else asked
            here = [repo / name for name in asked]
            self._answer([_entry(repo, one) for one in here if one.exists()])
        else:
            self._answer({"id": found["repo"], "sha": COMMIT, "siblings": []})

    do_HEAD = do_GET
    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode())

    def _fail(self, code: str) -> None:
        self._send(404, b"{}", code)

    def _send(self, status: int, body: bytes, code: str = "") -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        whole = len(body)
        if wanted and status == 200:
            stop = int(wanted[2]) + 1 if wanted[2] else whole
            status, body = 206, body[int(wanted[1]) : stop]
        self.send_response(status)
        if status == 206 and wanted:
            self.send_header("Content-Range", f"bytes {wanted[1]}-{whole - 1}/{whole}")
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(repo: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(repo).as_posix()
    if path.is_dir():
        return {"type": "directory", "oid": "0" * 40, "path": name}
    oid = hashlib.sha1(path.read_bytes()).hexdigest()
    return {"type": "file", "oid": oid, "size": path.stat().st_size, "path": name}
