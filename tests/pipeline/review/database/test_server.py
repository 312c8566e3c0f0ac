"""The life of the review database: shared, ended with its last user, never left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.review.child_process import module_root, port_answers
from pipeline.review.database.server import open_database
from pipeline.review.home import review_home
from pipeline.review.sync.store.mongo_store import find_dataset, get_dataset, open_store
from schemas.errors import ConfigError

HOLD = """
import sys, time
from pathlib import Path
from pipeline.review.database.server import open_database
from pipeline.review.home import review_home
with open_database(review_home(Path(sys.argv[1]))) as database:
    print(database.uri, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)


def alive(pid: int) -> bool:
    try:
        # A zombie that nobody has waited for is not alive.
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_end(*pids: int) -> bool:
    deadline = time.monotonic() + 120
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_the_users_own_server_is_used_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://example.invalid/")
    home = review_home(tmp_path)
    with open_database(home) as database:
        assert (database.uri, database.owned) == ("mongodb://example.invalid/", False)
    assert not home.keeper_lock.exists()


def test_a_server_that_does_not_answer_is_a_sentence() -> None:
    uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"
    with pytest.raises(ConfigError, match=r"no MongoDB server answers at 'mongodb://127.0.0.1:9"):
        open_store(uri, "x").__enter__()


def test_an_address_that_is_none_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"FIFTYONE_DATABASE_URI='http://x' cannot be used"):
        open_store("http://x", "x").__enter__()


def test_files_of_a_newer_server_are_refused(tmp_path: Path) -> None:
    home = review_home(tmp_path)
    home.database_version.write_text("99.0.1")
    with pytest.raises(ConfigError) as caught, open_database(home):
        pass
    for words in ("written by MongoDB 99.0.1", "GLIPFORGE_MONGOD", str(tmp_path), "push again"):
        assert words in str(caught.value)


@pytest.mark.slow
@pytest.mark.fiftyone
def test_a_server_that_cannot_start_is_a_sentence_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "mongod"
    broken.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "db version v7.0.1"; exit 0; fi\nexit 5\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("GLIPFORGE_MONGOD", str(broken))
    with pytest.raises(ConfigError, match=r"did not start .*MongoDB 7\.0\.1.*ended with code 5"):
        open_database(review_home(tmp_path / "home")).__enter__()


@pytest.mark.slow
@pytest.mark.fiftyone
def test_users_share_one_server_that_ends_with_the_last_even_when_killed(tmp_path: Path) -> None:
    home = review_home(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=module_root(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    uri = holder.stdout.readline().strip()
    pids = json.loads(home.endpoint.read_text())
    with open_database(home) as database:
        assert database.uri == uri
        with open_store(database.uri, "glipforge") as store:
            assert find_dataset(store, "none") is None
            with pytest.raises(ConfigError, match=r"no dataset 'x' .*\(there are: none\)"):
                get_dataset(store, "x")
    assert port_answers(pids["port"])  # the other one still uses it
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert wait_for_end(pids["mongod_pid"], pids["keeper_pid"])
    with open_database(home) as database:
        pids = json.loads(home.endpoint.read_text())
        # A killed keeper takes its server along, and the next user starts another.
        os.kill(pids["keeper_pid"], signal.SIGKILL)
        assert wait_for_end(pids["mongod_pid"])
    with open_database(home) as database:
        assert port_answers(int(database.uri.split(":")[2].split("/")[0]))
        pids = json.loads(home.endpoint.read_text())
    assert wait_for_end(pids["mongod_pid"], pids["keeper_pid"])
