from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.training.recipe import Recipe
from jobs.training.run import LOADERS_PER_GPU, Machine, num_loaders, training_directory
from model.training.checkpoint import CHECKPOINT_DIRECTORY, KeepPolicy, save_checkpoint
from model.training.options import TrainOptions
from schemas.errors import ConfigError, DataError, FingerprintMismatch

RECIPE = Recipe(preset="glip-toy", train=TrainOptions(steps=1))


def test_loaders_are_asked_for_or_fit_the_machine(monkeypatch) -> None:
    assert num_loaders(Machine(loader_processes=7), "cpu") == 7
    assert num_loaders(Machine(loader_processes=0), "cuda") == 0
    assert num_loaders(Machine(), "cpu") == 0
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert num_loaders(Machine(), "cuda") == LOADERS_PER_GPU
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert num_loaders(Machine(), "cuda") == 1


def test_of_two_trainings_into_one_directory_one_is_refused(tmp_path: Path) -> None:
    with (
        training_directory(tmp_path, RECIPE),
        pytest.raises(
            ConfigError, match=rf"is being trained by another driver .process {os.getpid()}"
        ),
        training_directory(tmp_path, RECIPE),
    ):
        raise AssertionError("both have it")
    with training_directory(tmp_path, RECIPE):
        pass  # the first gave it back


@pytest.mark.parametrize("error", [DataError("a picture is gone"), KeyboardInterrupt()])
def test_what_ends_before_it_begins_does_not_refuse_the_right_command(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)), training_directory(tmp_path, RECIPE):
        raise error
    with training_directory(tmp_path, replace(RECIPE, cache_side=64)):
        pass


def test_checkpoints_keep_the_recipe_that_explains_them(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / CHECKPOINT_DIRECTORY, 1, {}, KeepPolicy())
    with pytest.raises(DataError), training_directory(tmp_path, RECIPE):
        raise DataError("a picture is gone")
    with (
        pytest.raises(FingerprintMismatch, match="cache_side"),
        training_directory(tmp_path, replace(RECIPE, cache_side=64)),
    ):
        pass


def test_a_loader_that_outlives_its_training_does_not_hold_the_directory(tmp_path: Path) -> None:
    with training_directory(tmp_path, RECIPE):
        child = os.fork()
        if child == 0:
            time.sleep(20)
            os._exit(0)
    try:
        with training_directory(tmp_path, RECIPE):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.parametrize("name", ["_plan.json", "run.json"])
def test_the_directory_of_a_labelling_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    before = sorted(tmp_path.iterdir())
    with (
        pytest.raises(ConfigError, match="is the directory of a labelling run; give another"),
        training_directory(tmp_path, RECIPE),
    ):
        raise AssertionError("it was taken")
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_said_as_everywhere(tmp_path: Path, monkeypatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("schemas.atomic.write_whole", full)
    with (
        pytest.raises(ConfigError, match=r"--out .* cannot be written: .*the disk is full"),
        training_directory(tmp_path, RECIPE),
    ):
        raise AssertionError("it was taken")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"--out .*file cannot be written"),
        training_directory(tmp_path / "file", RECIPE),
    ):
        raise AssertionError("it was taken")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps("x"), ""])
def test_a_damaged_recipe_in_the_directory_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with (
        pytest.raises(
            ConfigError,
            match=r"recipe\.json (is not JSON|must hold a JSON object).*; put back the recipe",
        ),
        training_directory(tmp_path, RECIPE),
    ):
        raise AssertionError("it was taken")
