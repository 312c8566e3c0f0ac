"""kill -9 of the review's processes: noticed, said, started again, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Queue

import psutil
import pytest

from jobs import cli
from pipeline.curation.decisions import load_decisions
from pipeline.review.child_process import free_port, module_root, port_answers, stop_child
from pipeline.review.database.errors import DatabaseLost
from pipeline.review.database.mongod_binary import find_mongod
from pipeline.review.database.server import open_database
from pipeline.review.home import database_name, review_home
from pipeline.review.sync.store.mongo_store import get_dataset, open_store
from pipeline.review.sync.store.run_dataset import dataset_name
from tests.jobs.toy_run import toy_run
from tests.pipeline.folder_run import folder_run

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]
SECONDS = 120.0
"""From the kill to the sentence, on a busy machine."""


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    toy_run(tmp_path, monkeypatch)
    monkeypatch.setenv("GLIPFORGE_REVIEW_HOME", str(tmp_path / "home"))
    for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_NAME"):
        monkeypatch.delenv(name, raising=False)
    return str(tmp_path / "RUN")


class App:
    """`review open` with its output line by line."""

    def __init__(self, run_dir: str, reviewer: str = "zoe") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobs", "review", "open", run_dir, "--reviewer", reviewer],
            cwd=module_root(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def wait_for(self, text: str, seconds: float = 200.0) -> str:
        """The next line with some text."""
        deadline = time.monotonic() + seconds
        seen = []
        while time.monotonic() < deadline:
            if not self.lines.empty():
                seen.append(self.lines.get())
                if text in seen[-1]:
                    return seen[-1]
            else:
                time.sleep(0.05)
        raise AssertionError(f"no {text!r} within {seconds} s in {seen}")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(90)
        finally:
            self.process.kill()


def reject_first(tmp_path: Path, run_dir: str) -> None:
    """A committed edit, with its stamp."""
    with (
        open_database(review_home(tmp_path / "home")) as database,
        open_store(database.uri, database_name()) as store,
    ):
        samples = get_dataset(store, dataset_name(run_dir, None)).samples
        values = {
            "review": "rejected",
            "reviewer": "zoe",
            "reviewed_at": "2026-02-01T00:00:00.000000Z",
        }
        samples.with_options(write_concern=_journalled()).update_one(
            {"record_id": "toy/0"},
            {"$set": {f"boxes.detections.0.{name}": value for name, value in values.items()}},
        )


def _journalled() -> object:
    from pymongo import WriteConcern

    return WriteConcern(w=1, j=True)


def app_pid(app: App) -> int:
    """The app server: the child that runs the guard."""
    for child in psutil.Process(app.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # another child that ends meanwhile
            if "pipeline.review.app.guard" in " ".join(child.cmdline()):
                return child.pid
    raise AssertionError("no app server")


def test_killed_database_app_and_both(run_dir: str, tmp_path: Path) -> None:
    assert cli.main(["review", "push", run_dir]) == 0
    home = review_home(tmp_path / "home")
    app = App(run_dir)
    try:
        url = app.wait_for("review: ").removeprefix("review: ").strip()
        assert "zoe" in app.wait_for("verdicts are")
        reject_first(tmp_path, run_dir)

        os.kill(json.loads(home.endpoint.read_text())["mongod_pid"], signal.SIGKILL)
        said = app.wait_for("starting again", SECONDS)
        assert "the review database ended by itself; what was saved is on its disk" in said
        assert url in app.wait_for("the app is back at")

        os.kill(app_pid(app), signal.SIGKILL)
        assert "the app server ended by itself with code -9" in app.wait_for(
            "starting again", SECONDS
        )
        assert url in app.wait_for("the app is back at")

        os.kill(json.loads(home.endpoint.read_text())["mongod_pid"], signal.SIGKILL)
        os.kill(app_pid(app), signal.SIGKILL)
        app.wait_for("starting again", SECONDS)
        assert url in app.wait_for("the app is back at")
    finally:
        app.end()
    assert cli.main(["review", "pull", run_dir]) == 0
    (decision,) = load_decisions(folder_run(Path(run_dir), []))
    assert (decision.reviewer, str(decision.verdict)) == ("zoe", "drop")


def test_two_reviewers_who_start_at_once_have_a_process_each_and_one_database(
    run_dir: str, tmp_path: Path
) -> None:
    assert cli.main(["review", "push", run_dir]) == 0
    apps = [App(run_dir, name) for name in ("alice", "bob")]
    try:
        urls = {app.wait_for("review: ") for app in apps}
        assert len(urls) == 2
        for app, name in zip(apps, ("alice", "bob"), strict=True):
            assert f"verdicts are {name}'s" in app.wait_for("verdicts are")
            environment = Path(f"/proc/{app_pid(app)}/environ").read_bytes().split(b"\0")
            assert f"GLIPFORGE_REVIEWER={name}".encode() in environment
        endpoint = json.loads(review_home(tmp_path / "home").endpoint.read_text())
        apps[0].end()
        assert port_answers(endpoint["port"])  # the other one still uses it
    finally:
        for app in apps:
            app.end()
    assert not port_answers(endpoint["port"])


def test_a_database_that_dies_in_a_command_is_a_sentence(
    run_dir: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.review.sync.push import push as push_module

    assert cli.main(["review", "push", run_dir]) == 0
    home = review_home(tmp_path / "home")
    write = push_module._write

    def kill_first(*args: object) -> None:
        pid = json.loads(home.endpoint.read_text())["mongod_pid"]
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/exe").exists():
            time.sleep(0.05)
        write(*args)

    monkeypatch.setattr(push_module, "_write", kill_first)
    edit = ["review", "push", run_dir, "--min-score", "0.9"]
    assert cli.main(edit) == 1
    assert "the review database went away" in capsys.readouterr().err
    monkeypatch.setattr(push_module, "_write", write)
    assert cli.main(edit) == 0
    assert DatabaseLost.__doc__


def own_server(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A MongoDB server that answers at a port; somebody else may take the first ones."""
    folder.mkdir()
    for _ in range(5):
        port = free_port()
        server = subprocess.Popen(
            [
                *(str(find_mongod().path), "--dbpath", str(folder), "--port", str(port)),
                *("--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"),
            ],
            stdout=subprocess.DEVNULL,
        )
        while server.poll() is None:
            if port_answers(port):
                return server, port
            time.sleep(0.1)
    raise AssertionError(f"MongoDB ended with code {server.returncode}")


def test_a_server_of_ones_own_by_uri(
    run_dir: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, port = own_server(tmp_path / "own")
    try:
        uri = f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS="
        monkeypatch.setenv("FIFTYONE_DATABASE_URI", f"{uri}60000")
        monkeypatch.setenv("FIFTYONE_DATABASE_NAME", "team")
        assert cli.main(["review", "push", run_dir]) == 0
        with open_store(f"{uri}60000", "team") as store:
            samples = get_dataset(store, dataset_name(run_dir, None)).samples
            samples.update_one(
                {"record_id": "toy/0"}, {"$set": {"boxes.detections.0.review": "accepted"}}
            )
        assert cli.main(["review", "pull", run_dir, "--reviewer", "ann"]) == 0
        assert "1 new decisions (1 keep)" in capsys.readouterr().out
        assert not review_home(tmp_path / "home").database.exists()  # nothing of ours was started
    finally:
        stop_child(server, patience_s=60.0)
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", f"{uri}3000")
    assert cli.main(["review", "pull", run_dir]) == 2
    assert "no MongoDB server answers at" in capsys.readouterr().err
