"""`glipforge doctor` on machines that lack this or that."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import health
from jobs.cli import main


def line(part: str, store: str = "") -> health.Finding:
    """One line, without the others: those load weights and a parser."""
    if part == "store":
        return health._examined("store", lambda: health._store(store), is_needed=True)
    (found,) = [one for one in health._CHECKS if one[0] == part]
    return health._examined(part, found[1], is_needed=found[2])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A hub that answers with the code in the list."""
    codes = [200]

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(codes[0])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield codes
    server.shutdown()
    server.server_close()


def test_the_hub(hub: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert line("hub").state == "ok"
    hub[0] = 503
    assert "is not reached (answers 503)" in line("hub").text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in line("hub").text
    assert line("hub").state == "absent"


def test_another_system_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.platform, "system", lambda: "Darwin")
    found = line("system")
    assert (found.state, found.text) == (
        "missing",
        "Darwin: Glipforge is made for Linux; use a container or WSL 2",
    )


def test_an_absent_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = health.importlib.util.find_spec
    monkeypatch.setattr(
        health.importlib.util, "find_spec", lambda name: None if name == "timm" else real(name)
    )
    assert line("packages").text == "not installed: timm; pip install -r requirements-worker.txt"


def test_a_ray_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
        found = line("ray")
    assert found.state == "missing"
    assert "does not answer" in found.text
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        assert line("ray").text.endswith(" answers")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert line("ray").text.endswith("the cluster at auto was not asked: its address has no port")


def test_a_store_is_tried_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = line("store", str(tmp_path))
    assert (found.state, list(tmp_path.iterdir())) == ("ok", [])
    monkeypatch.setattr("pipeline.storage.probe.create_bytes", lambda url, data: True)
    monkeypatch.setattr("pipeline.storage.probe.read_bytes", lambda url: b"second")
    found = line("store", str(tmp_path))
    assert found.state == "missing"
    assert "two drivers or workers would overwrite each other" in found.text


def test_the_exit_code_follows_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> str:
        raise RuntimeError("it [is] broken\nand more")

    monkeypatch.setattr(health, "_CHECKS", (("a", lambda: "fine", True), ("b", broken, False)))
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "b      absent  RuntimeError: it [is] broken  " in shown
    assert "and more" not in shown
    assert "this machine can label" in shown
    monkeypatch.setattr(health, "_CHECKS", (("a", lambda: "fine", True), ("b", broken, True)))
    assert main(["doctor", "--json"]) == 1
    assert [one["state"] for one in json.loads(capsys.readouterr().out)] == [
        *("ok", "missing", "absent")
    ]
    assert main(["doctor"]) == 1
    assert "labelling lacks: b" in capsys.readouterr().out


@pytest.mark.slow
def test_this_machine_can_label(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "glip-nano@" in shown
    assert "a red ball" in shown


def test_a_store_that_was_looked_at_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    assert line("store", str(tmp_path / "kept")).state == "ok"
    assert line("store", str(tmp_path / "new" / "er")).state == "ok"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_password_of_an_address_is_not_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://me:secret@127.0.0.1:1")
    assert "http://***@127.0.0.1:1 is not reached" in line("hub").text
