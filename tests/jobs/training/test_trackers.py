from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.cli import main
from jobs.training.trackers import make_trackers, require_trackers
from schemas.errors import ConfigError, MissingDependency


class FakeWandb:
    """Takes down how its runs are opened."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []

    def init(self, **given: Any) -> Any:
        self.opened.append(given)
        return SimpleNamespace(log=lambda *_, **__: None, finish=lambda: None)


class FakeMlflow:
    """Knows the runs that it gave numbers to."""

    class MlflowException(Exception):
        pass

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.started: list[str] = []

    def start_run(self, run_id: str = "", run_name: str = "") -> Any:
        if run_id and run_id not in self.known:
            raise self.MlflowException(f"run {run_id} does not exist")
        run_id = run_id or f"r{len(self.started)}"
        self.known.add(run_id)
        self.started.append(run_id)
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def log_dict(self, *_: Any) -> None:
        pass

    def end_run(self) -> None:
        pass


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    return fake


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)  # type: ignore[arg-type]
    return fake


def start(directory: Path, *names: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for tracker in make_trackers(names, directory, {}):
        tracker.close()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_is_refused_before_anything(name, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingDependency, match=f"--trackers {name}: the package is not inst"):
        require_trackers([name])


def test_the_command_looks_before_it_reads_data(tmp_path, monkeypatch, capsys) -> None:
    def missing(names: tuple[str, ...]) -> None:
        raise MissingDependency(f"{', '.join(names)} is not installed")

    monkeypatch.setattr("jobs.training.trackers.require_trackers", missing)
    out = tmp_path / "run"
    command = ["pretrain", "--preset", "glip-toy", "--gold", "no.json", "--out", str(out)]
    assert main([*command, "--trackers", "wandb"]) == 2
    assert "wandb is not installed" in capsys.readouterr().err
    assert not out.exists()


def test_tensorboard_is_always_written(tmp_path, wandb) -> None:
    for number, names in enumerate([(), ("wandb",), ("tensorboard", "wandb")]):
        start(tmp_path / str(number), *names)
        assert len(list((tmp_path / str(number) / "tensorboard").iterdir())) == 1


def test_two_folders_of_one_name_are_two_runs_and_a_resume_is_one(tmp_path, wandb) -> None:
    for folder in ("a/run", "b/run", "a/run"):
        start(tmp_path / folder, "wandb")
    ids = [given["id"] for given in wandb.opened]
    assert ids[0] == ids[2]
    assert ids[0] != ids[1]
    assert {given["name"] for given in wandb.opened} == {"run"}


def test_mlflow_continues_its_run(tmp_path, mlflow, wandb) -> None:
    start(tmp_path, "wandb", "mlflow")
    start(tmp_path, "wandb", "mlflow")
    assert mlflow.started == ["r0", "r0"]
    assert wandb.opened[0]["id"] == wandb.opened[1]["id"]
    mlflow.known.clear()  # another server
    start(tmp_path, "mlflow")
    start(tmp_path, "mlflow")
    assert mlflow.started[2:] == ["r2", "r2"]


@pytest.mark.parametrize("text", ["{", "[]", '{"wandb": 3}'])
def test_a_damaged_note_of_runs_is_refused(tmp_path, wandb, text) -> None:
    (tmp_path / "trackers.json").write_text(text)
    with pytest.raises(
        ConfigError, match=r"trackers\.json (is not JSON|must hold|must name a run)"
    ):
        start(tmp_path, "wandb")
