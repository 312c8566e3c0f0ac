from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from model.losses.glip_loss import GlipLoss
from model.training.checkpoint import list_checkpoints
from model.training.divergence import DivergenceError
from model.training.journal import read_log
from model.training.loop import Trainer
from model.training.optimizer import OptimizerOptions
from model.training.options import TrainOptions
from model.training.schedule import ScheduleOptions
from schemas.errors import ConfigError, FingerprintMismatch, GlipforgeError, RetryableError
from tests.model.training.tiny import TinyGlip, grid, make_batch

OPTIONS = TrainOptions(
    steps=12,
    batch_size=4,
    optimizer=OptimizerOptions(rate=1e-2, rules=()),
    schedule=ScheduleOptions(kind="cosine", warmup_steps=2),
    log_every=4,
    checkpoint_every=4,
)


def trainer(directory, options=OPTIONS, batches=make_batch, dropout=0.1, **given) -> Trainer:
    torch.manual_seed(1)
    return Trainer(
        model=TinyGlip(dropout),
        loss=GlipLoss(),
        grid=grid,
        make_batch=batches,
        options=options,
        directory=directory,
        fingerprint={"data": "d", "steps": options.steps},
        **given,
    )


def weights(found: Trainer) -> list[torch.Tensor]:
    averages = found.average.state_dict()["weights"].values() if found.average else ()
    return [*(p.detach() for p in found.model.parameters()), *averages]


def assert_equal(a: Trainer, b: Trainer) -> None:
    assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def test_the_loss_falls(tmp_path):
    options = replace(OPTIONS, steps=150, batch_size=8, log_every=10)
    trainer(tmp_path, options).run()
    # One linear layer cannot see where a square ends: the words are what it learns.
    losses = [line["token"] for line in read_log(tmp_path / "log.jsonl")]
    assert losses[-1] < 0.5 * losses[0]
    assert json.loads((tmp_path / "train.json").read_text())["status"] == "done"


@pytest.mark.parametrize("killed_at", [1, 4, 5, 11])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, killed_at):
    whole = trainer(tmp_path / "whole")
    whole.run()

    def dies(positions):
        if positions[0] // OPTIONS.batch_size == killed_at:
            raise ProcessLookupError("killed")
        return make_batch(positions)

    with pytest.raises(ProcessLookupError):
        trainer(tmp_path / "killed", batches=dies).run()
    state = json.loads((tmp_path / "killed" / "train.json").read_text())
    assert state["status"] == "failed"
    resumed = trainer(tmp_path / "killed")
    result = resumed.run()
    assert result.first_step == killed_at // 4 * 4
    assert_equal(whole, resumed)
    names = ("step", "loss", "gradient_norm", "rate")
    logs = [
        [tuple(line[name] for name in names) for line in read_log(tmp_path / run / "log.jsonl")]
        for run in ("whole", "killed")
    ]
    assert logs[0] == logs[1]


def test_loader_processes_change_nothing(tmp_path):
    here, ahead = trainer(tmp_path / "a"), trainer(tmp_path / "b", num_loader_processes=1)
    here.run()
    ahead.run()
    assert_equal(here, ahead)


def test_a_killed_loader_process_is_a_sentence(tmp_path):
    def dies(positions):
        if positions[0] == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return make_batch(positions)

    found = trainer(tmp_path, batches=dies, num_loader_processes=1)
    with pytest.raises(
        RetryableError, match=r"was lost .* --loader-processes .* The same command goes"
    ):
        found.run()
    assert json.loads((tmp_path / "train.json").read_text())["status"] == "failed"


def test_no_signal_of_a_loader_process_interrupts_the_main_thread(tmp_path):
    """torch's SIGCHLD handler would raise inside whatever is being written."""
    before, seen = signal.getsignal(signal.SIGCHLD), []

    def evaluate(model, step):
        seen.append(signal.getsignal(signal.SIGCHLD))
        return {}

    options = replace(OPTIONS, evaluate_every=4)
    trainer(tmp_path, options, num_loader_processes=1, evaluate=evaluate).run()
    assert seen == [before] * 3


def test_an_error_of_the_network_stays_what_it_is(tmp_path):
    def wrong(positions):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        trainer(tmp_path, batches=wrong).run()


def test_memory_that_runs_out_is_a_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    run = trainer(tmp_path)
    monkeypatch.setattr(run._step, "_loss_of", full)
    said = r"in step 1, with 4 images of \d+ x \d+ at once \(CUDA out of memory.*GiB\).*tower"
    with pytest.raises(GlipforgeError, match=said):
        run.run()


def test_accumulation_is_the_whole_batch(tmp_path):
    whole = trainer(tmp_path / "a", dropout=0.0)
    parts = trainer(tmp_path / "b", replace(OPTIONS, accumulate=2), dropout=0.0)
    whole.run()
    parts.run()
    for x, y in zip(weights(whole), weights(parts), strict=True):
        assert torch.allclose(x, y, rtol=0, atol=2e-6)


def test_a_finished_run_is_left_alone(tmp_path):
    trainer(tmp_path).run()
    before = [path.stat().st_mtime_ns for _, path in list_checkpoints(tmp_path / "checkpoints")]
    result = trainer(tmp_path).run()
    assert (result.first_step, result.steps) == (12, 12)
    after = [path.stat().st_mtime_ns for _, path in list_checkpoints(tmp_path / "checkpoints")]
    assert before == after


def test_a_finished_run_keeps_its_figures(tmp_path):
    seen = []

    def evaluate(model, step):
        seen.append(step)
        return {"ap50": 0.25, "gap": float("nan")}

    first = trainer(tmp_path, evaluate=evaluate).run()
    state = json.loads((tmp_path / "train.json").read_text())
    again = trainer(tmp_path, evaluate=evaluate).run()
    assert seen == [12]
    assert again.losses == first.losses
    assert again.losses
    assert again.evaluation["ap50"] == 0.25
    assert again.evaluation["gap"] != again.evaluation["gap"]
    after = json.loads((tmp_path / "train.json").read_text())
    assert (after["last"], after["evaluation"]) == (state["last"], state["evaluation"])


def test_a_run_killed_before_its_last_evaluation_is_measured(tmp_path):
    def dies(model, step):
        raise ProcessLookupError("killed")

    with pytest.raises(ProcessLookupError):
        trainer(tmp_path, evaluate=dies).run()
    result = trainer(tmp_path, evaluate=lambda model, step: {"ap50": step / 100}).run()
    assert result.first_step == 12
    assert result.evaluation == {"ap50": 0.12}
    assert read_log(tmp_path / "log.jsonl")[-1]["ap50"] == 0.12


def test_a_resume_with_another_recipe_is_refused(tmp_path):
    trainer(tmp_path).run()
    other = trainer(tmp_path, replace(OPTIONS, steps=20))
    with pytest.raises(FingerprintMismatch, match="steps was 12, this run has 20"):
        other.run()


def test_a_nan_stops_before_it_reaches_the_weights(tmp_path):
    def poisoned(positions):
        batch = make_batch(positions)
        if 20 in positions:
            batch.images_B3HW[0] = float("nan")
        return batch

    broken = trainer(tmp_path, batches=poisoned)
    with pytest.raises(DivergenceError, match="stopped at step 5: .*token"):
        broken.run()
    assert all(torch.isfinite(weight).all() for weight in weights(broken))
    saved = json.loads((tmp_path / "divergence-000000005-worker0.json").read_text())
    assert "p20" in saved["sample_ids"]
    assert json.loads((tmp_path / "train.json").read_text())["status"] == "failed"


def test_evaluation_sees_the_averaged_weights_and_reaches_the_log(tmp_path):
    seen = []

    def evaluate(model, step):
        seen.append((step, model.training, model.boxes.weight.detach().clone()))
        return {"ap50": step / 100}

    options = replace(OPTIONS, evaluate_every=5)
    found = trainer(tmp_path, options, evaluate=evaluate)
    result = found.run()
    assert [(step, training) for step, training, _ in seen] == [
        (5, False),
        (10, False),
        (12, False),
    ]
    assert torch.equal(seen[-1][2], found.average.state_dict()["weights"]["boxes.weight"])
    assert result.evaluation == {"ap50": 0.12}
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["ap50"] for line in lines if line["event"] == "evaluation"] == [0.05, 0.1, 0.12]


def test_bf16_trains(tmp_path):
    result = trainer(tmp_path, replace(OPTIONS, precision="bf16")).run()
    assert all(value == value for value in result.losses.values())


def test_fp16_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        trainer(tmp_path, replace(OPTIONS, precision="fp16"))


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ConfigError, match="batch_size 4 is not a multiple of accumulate 3"):
        replace(OPTIONS, accumulate=3)
