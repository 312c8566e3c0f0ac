"""Drivers of a local Ray that die, and `ray job submit` with `ray job stop`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from jobs.commands.label.label import label
from pipeline.run.status import read_status
from pipeline.run.store import RunStore
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, write_corpus
from tests.jobs.labelling.label_process import (
    LOCAL,
    start,
    wait_for_units,
)

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_a_killed_driver_of_a_local_ray(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 24), tmp_path / "run"
    args = [corpus, str(out), '{"delay_s": 0.05}', '{"workers": 1, "cpus_per_worker": 1}']
    process = start(args)
    wait_for_units(out, 4, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # Its workers may live on for a moment and commit: that must do no harm.
    assert label(FakeSetup(corpus=corpus), str(out), UNIT, LOCAL) == 0
    label(FakeSetup(corpus=corpus), str(tmp_path / "whole"), UNIT, LOCAL)
    time.sleep(3)
    assert all_rows(out) == all_rows(tmp_path / "whole")
    assert RunStore(out).is_complete()


def test_relative_paths_are_refused_in_a_job(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from jobs.cli import main

    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert main(["label", "--corpus", "/data", "--out", "runs/1"]) == 2
    assert "out: 'runs/1' is relative: inside a Ray job" in capsys.readouterr().err


def _wait_for_head(address: str, head: subprocess.Popen[bytes]) -> None:
    """Until it takes jobs, some seconds after its start."""
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(f"{address}/api/jobs/", timeout=60):
                return
        except OSError:
            assert head.poll() is None, "the head ended"
            assert time.monotonic() < deadline, "the head does not answer"
            time.sleep(0.2)


def test_ray_job_submit_and_stop(tmp_path: Path) -> None:
    """A cluster of `ray start --head`, with ports and a folder of its own."""
    from ray.job_submission import JobSubmissionClient

    corpus, out = write_corpus(tmp_path / "toy", 80), tmp_path / "run"
    port = 25000 + os.getpid() % 4000
    temp = Path(f"/tmp/gf{os.getpid()}")  # sockets must have short names
    ray = str(Path(sys.executable).parent / "ray")
    env = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port + 1}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    env.pop("RAY_ADDRESS", None)
    head = subprocess.Popen(
        [
            *(ray, "start", "--head", "--block", "--node-ip-address=127.0.0.1"),
            *(f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={port + 1}"),
            *(f"--ray-client-server-port={port + 2}", "--num-cpus=2"),
            f"--dashboard-agent-listen-port={port + 3}",
            f"--dashboard-agent-grpc-port={port + 4}",
            f"--metrics-export-port={port + 5}",
            f"--runtime-env-agent-port={port + 6}",
            *("--object-store-memory=200000000", f"--temp-dir={temp}", "--disable-usage-stats"),
        ],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        excludes = ["demo-run", "tests", "pipeline/world/glyphs", ".git", ".venv"]
        submit = [*(ray, "job", "submit", "--working-dir", ".")]
        submit += ["--runtime-env-json", json.dumps({"excludes": excludes})]
        words = ["label", "--records-per-unit", str(UNIT), "--corpus", corpus, "--out", str(out)]
        words += ["--workers", "1"]
        _wait_for_head(env["RAY_API_SERVER_ADDRESS"], head)
        jobs = JobSubmissionClient(env["RAY_API_SERVER_ADDRESS"])
        job = jobs.submit_job(
            entrypoint=shlex.join(["python", "-m", "jobs", *words]),
            runtime_env={"working_dir": ".", "excludes": excludes},
        )
        wait_for_units(out, 2, head)
        jobs.stop_job(job)
        while not jobs.get_job_status(job).is_terminal():
            time.sleep(0.2)
        assert jobs.get_job_status(job) == "STOPPED"
        assert "the same command goes on" in jobs.get_job_logs(job)
        committed = RunStore(out).commits()
        assert 2 <= len(committed) < 80
        assert read_status(RunStore(out)).driver is None

        # What is committed is kept, and the same command goes on.
        done = subprocess.run(
            [*submit, "--", "python", "-m", "jobs", *words],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "submitted successfully" in done.stdout
        assert "units    80 of 80 committed" in done.stdout
        assert len(all_rows(out)) == 640
        after = RunStore(out).commits()
        assert {unit_id: after[unit_id] for unit_id in committed} == committed
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(timeout=200)
        shutil.rmtree(temp, ignore_errors=True)
