from __future__ import annotations

import contextlib
import pickle
from pathlib import Path
from typing import Any

import pytest
from ray.train import TrainingFailedError

from jobs.cli import main
from jobs.training import on_ray as train_ray
from jobs.training.recipe import Recipe, SourceSpec
from jobs.training.run import Machine
from model.training.options import TrainOptions
from schemas.errors import ConfigError, DataError, RetryableError


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a worker of Ray is given."""
    monkeypatch.chdir(tmp_path)  # a worker goes there itself; the tests must come back
    recipe = Recipe(
        preset="glip-toy", train=TrainOptions(steps=1), sources=(SourceSpec(gold="no.json"),)
    )
    out = tmp_path / "run"
    refusal = out / "ray" / "refusal.json"
    work = train_ray.Work(recipe, out, Machine(device="cpu"), tmp_path, refusal)
    return {"work": pickle.loads(pickle.dumps(work))}


def test_what_a_worker_refuses_is_not_tried_again(work) -> None:
    with pytest.raises(ConfigError, match="'no.json' does not exist"):
        train_ray._train_one_worker(work)
    train_ray._train_one_worker(work)
    refused = train_ray._read_refusal(work["work"].refusal)
    assert type(refused) is ConfigError
    assert "'no.json' does not exist" in str(refused)


@pytest.mark.parametrize(("error", "is_final"), [(DataError, True), (RetryableError, False)])
def test_only_what_would_happen_again_is_final(work, monkeypatch, error, is_final) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error("so it is")

    monkeypatch.setattr("jobs.training.run.train_worker", fails)
    with pytest.raises(error, match="so it is"):
        train_ray._train_one_worker(work)
    assert work["work"].refusal.exists() is is_final


@pytest.mark.parametrize(
    "options", [["--batch-size", "3"], ["--batch-size", "4", "--set", "train.accumulate=4"]]
)
def test_a_batch_that_the_workers_cannot_divide_is_refused_before_ray(
    tmp_path, capsys, monkeypatch, options
) -> None:
    monkeypatch.setattr(train_ray, "ray_session", None)
    out = tmp_path / "run"
    command = ["pretrain", "--preset", "glip-toy", "--gold", "a.json"]
    command += ["--out", str(out), "--workers", "2", *options]
    assert main(command) == 2
    assert "cannot be divided among 2 workers" in capsys.readouterr().err
    assert not out.exists()


def test_one_gpu_for_several_workers_is_refused(tmp_path, capsys) -> None:
    command = ["pretrain", "--preset", "glip-toy", "--gold", "a.json", "--device", "cuda:1"]
    assert main([*command, "--out", str(tmp_path / "run"), "--workers", "2"]) == 2
    assert "--device cuda:1 with --workers 2: each worker needs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [(ConfigError("no data"), 2, "pretrain: no data"), (None, 1, "training on Ray failed: lost")],
)
def test_the_end_of_rays_patience_is_a_sentence(
    tmp_path, capsys, monkeypatch, said, code, sentence
) -> None:
    class Failing:
        def __init__(self, *_: object, train_loop_config: dict[str, Any], **__: object) -> None:
            self.refusal = train_loop_config["work"].refusal

        def fit(self) -> None:
            if said is not None:
                train_ray.write_refusal(self.refusal, said)
            raise TrainingFailedError("lost")

    monkeypatch.setattr("ray.train.torch.TorchTrainer", Failing)
    monkeypatch.setattr(train_ray, "ray_session", lambda **_: contextlib.nullcontext())
    command = ["pretrain", "--preset", "glip-toy", "--gold", "a.json", "--batch-size", "4"]
    assert main([*command, "--out", str(tmp_path / "run"), "--workers", "2"]) == code
    assert sentence in capsys.readouterr().err
