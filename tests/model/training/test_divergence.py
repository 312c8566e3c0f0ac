from __future__ import annotations

import json
import math

import pytest

from model.training.checkpoint import KeepPolicy, save_checkpoint
from model.training.divergence import DivergenceError, DivergenceWatch

NAN, INF = math.nan, math.inf


def test_a_healthy_run_passes_and_writes_nothing(tmp_path):
    watch = DivergenceWatch(tmp_path)
    for step in range(200):
        watch.check(step, {"token": 1.0, "box": 0.5}, 2.0, ["a"])
    assert watch.mean_loss == pytest.approx(1.5)
    assert list(tmp_path.iterdir()) == []


def test_a_nan_loss_names_its_part_and_saves_the_ids(tmp_path):
    watch = DivergenceWatch(tmp_path)
    with pytest.raises(DivergenceError, match="at step 4: token is not finite; its 2 sample ids"):
        watch.check(4, {"token": NAN, "box": 0.5}, 1.0, ["a", "b"])
    saved = json.loads((tmp_path / "divergence-000000004-worker0.json").read_text())
    assert saved["sample_ids"] == ["a", "b"]
    assert saved["losses"] == {"token": "nan", "box": 0.5}


def test_the_last_checkpoint_is_named_or_that_there_is_none(tmp_path):
    watch = DivergenceWatch(tmp_path)
    with pytest.raises(DivergenceError, match="No checkpoint was written before; lower the rate"):
        watch.check(9, {"token": NAN}, 1.0, ["a"])
    for step in (4, 8):
        save_checkpoint(tmp_path / "checkpoints", step, {}, KeepPolicy())
    with pytest.raises(DivergenceError, match="The last checkpoint is that of step 8; lower"):
        watch.check(9, {"token": NAN}, 1.0, ["a"])


def test_an_infinite_gradient_stops(tmp_path):
    with pytest.raises(DivergenceError, match="the gradient is not finite"):
        DivergenceWatch(tmp_path).check(0, {"token": 1.0}, INF, ["a"])


def test_fp16_overflows_pass_until_there_are_too_many_in_a_row(tmp_path):
    watch = DivergenceWatch(tmp_path, max_skips=2)
    for step in (0, 1):
        watch.check(step, {"token": 1.0}, INF, ["a"], scaled=True)
    watch.check(2, {"token": 1.0}, 1.0, ["a"], scaled=True)
    for step in (3, 4):
        watch.check(step, {"token": 1.0}, INF, ["a"], scaled=True)
    with pytest.raises(DivergenceError, match="overflowed 3 times in a row"):
        watch.check(5, {"token": 1.0}, INF, ["a"], scaled=True)


def test_an_exploding_loss_stops_after_the_grace(tmp_path):
    watch = DivergenceWatch(tmp_path, explode_factor=10.0, grace_steps=5)
    watch.check(0, {"token": 1.0}, 1.0, ["a"])
    watch.check(1, {"token": 50.0}, 1.0, ["a"])
    for step in range(2, 6):
        watch.check(step, {"token": 1.0}, 1.0, ["a"])
    with pytest.raises(DivergenceError, match="the loss 90 is over 10 times its mean"):
        watch.check(6, {"token": 90.0}, 1.0, ["a"])
