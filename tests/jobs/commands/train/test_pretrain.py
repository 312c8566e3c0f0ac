"""Pretraining by the command line."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
import torch

from jobs.cli import main
from model.files.pretrained import load_pretrained
from model.training.journal import read_log
from tests.jobs.commands.train.toy_training import (
    TOY,
    arguments,
    assert_same_model,
    start,
    wait_for_checkpoint,
    weights_of,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, gold) -> Path:
    """One uninterrupted run, which several tests look at."""
    directory = tmp_path_factory.mktemp("finished")
    (directory / "toy.json").write_text(json.dumps(TOY))
    evaluation = json.dumps([{"gold": str(path), "limit": 3} for path in gold])
    more = ["--set", f"evaluation={evaluation}"]
    assert main(arguments(directory / "toy.json", gold, directory / "run", *more)) == 0
    return directory / "run"


@pytest.mark.slow
def test_a_run_leaves_a_model_a_card_a_log_and_its_state(finished):
    model = load_pretrained(finished / "model")
    assert model.config.preset == "glip-toy"
    card = (finished / "model" / "README.md").read_text()
    assert "| grounding.json | grounding | 16 | 50.0% |" in card
    assert "- evaluation grounding.json/r1: " in card
    assert list((finished / "evaluation" / "step-000000012").glob("grounding.json.png"))
    assert json.loads((finished / "model" / "recipe.json").read_text())["train"]["steps"] == 12
    lines = read_log(finished / "log.jsonl")
    assert [(line["step"], line["event"]) for line in lines] == [
        (4, "train"),
        (8, "train"),
        (12, "train"),
        (12, "evaluation"),
    ]
    assert 0.0 <= lines[-1]["grounding.json/r1"] <= lines[-1]["grounding.json/r5"] <= 1.0
    assert 0.0 <= lines[-1]["coco.json/ap50"] <= 1.0
    state = json.loads((finished / "train.json").read_text())
    assert (state["kind"], state["status"], state["step"]) == ("train", "done", 12)
    assert list((finished / "tensorboard").iterdir())


@pytest.mark.slow
def test_kill_minus_nine_and_again_is_as_if_nothing_happened(tmp_path, recipe, gold, finished):
    """Once before there is anything, and twice at a random moment after a checkpoint."""
    out = tmp_path / "run"
    moments = random.Random(4)
    for step in (0, 4, 8):
        process = start(arguments(recipe, gold, out))
        if step:
            wait_for_checkpoint(process, out, step)
            time.sleep(moments.uniform(0.0, 0.2))
        else:
            time.sleep(moments.uniform(0.5, 3.0))
        process.kill()
        process.wait()
        if (out / "model" / "config.json").exists():
            break  # it was too quick to be killed again
    assert main(arguments(recipe, gold, out)) == 0
    assert_same_model(out, finished)


@pytest.mark.slow
def test_sigterm_ends_a_run_as_ctrl_c_does(tmp_path, recipe, gold):
    out = tmp_path / "run"
    process = start(arguments(recipe, gold, out, "--steps", "100000"))
    wait_for_checkpoint(process, out, 4)
    process.terminate()
    assert process.wait(240) == 130
    assert json.loads((out / "train.json").read_text())["status"] == "stopped"


@pytest.mark.slow
def test_another_recipe_in_the_same_directory_is_refused(recipe, gold, finished, capsys):
    assert main(arguments(recipe, gold, finished, "--seed", "5")) == 2
    assert "train.seed was 0, this run has 5" in capsys.readouterr().err


@pytest.mark.slow
def test_changed_data_is_refused(recipe, gold, finished, capsys):
    text = gold[0].read_text()
    gold[0].write_text(text.replace("and a", "and  a"))
    try:
        assert main(arguments(recipe, gold, finished)) == 2
    finally:
        gold[0].write_text(text)
    assert "data was" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tune", "parts"),
    [
        ("full", ("backbone.", "pyramid.", "text_encoder.", "tower.", "head.")),
        ("linear-probe", ("head.",)),
        ("prompt", ("text_encoder.tuned",)),
    ],
)
def test_tuning_starts_from_a_model_and_changes_its_part(tune, parts, tmp_path, gold, finished):
    """The model's network is other than its preset's; without a recipe file that is known."""
    out = tmp_path / "run"
    command = ["pretrain", "--tune", tune, "--warm-start", str(finished / "model")]
    command += ["--gold", str(gold[1]), "--shots", "2", "--batch-size", "2", "--epochs", "1.5"]
    command += ["--set", "train.ema_decay=0", "--threads", "1", "--device", "cpu"]
    assert main([*command, "--out", str(out)]) == 0
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["network"]["drop_path"] == 0.15
    assert recipe["train"]["steps"] < 12
    before, after = weights_of(finished), weights_of(out)
    changed = {n for n in after if n not in before or not torch.equal(before[n], after[n])}
    assert {part for part in parts if any(n.startswith(part) for n in changed)} == set(parts)
    assert all(name.startswith(parts) for name in changed)
    assert (load_pretrained(out / "model").text_encoder.tuned is not None) == (tune == "prompt")


@pytest.mark.slow
def test_what_was_tuned_can_be_tuned_again(tmp_path, gold, finished):
    start, again = str(finished / "model"), str(tmp_path / "one" / "model")
    command = ["pretrain", "--gold", str(gold[1]), "--steps", "1", "--batch-size", "2"]
    command += ["--threads", "1", "--device", "cpu", "--set", "train.ema_decay=0"]
    for source, out in ((start, "one"), (again, "two")):
        more = ["--tune", "prompt", "--warm-start", source, "--out", str(tmp_path / out)]
        assert main([*command, *more]) == 0
    assert main([*command, "--warm-start", again, "--tune", "full", "--out", f"{tmp_path}/3"]) == 0
    one, two, three = (weights_of(tmp_path / n)["text_encoder.tuned"] for n in ("one", "two", "3"))
    assert not torch.equal(one, two)
    assert not torch.equal(one, three)


@pytest.mark.slow
def test_lora_writes_a_plain_model(tmp_path, recipe, gold, finished):
    more = ["--warm-start", str(finished / "model"), "--steps", "2"]
    lora = ["--set", 'lora={"rank": 2}', "--set", "train.optimizer.rules=[]"]
    assert main(arguments(recipe, gold, tmp_path / "lora", *more, *lora)) == 0
    assert weights_of(tmp_path / "lora").keys() == weights_of(finished).keys()


@pytest.mark.parametrize(
    ("arguments_", "message"),
    [
        (["--out", "x"], "name a network with --preset"),
        (["--out", "x", "--preset", "glip-huge"], "unknown preset 'glip-huge'; allowed: glip-t-a"),
        (["--out", "x", "--preset", "glip-toy"], "nothing to train on"),
        (["--out", "x", "--preset", "glip-toy", "--gold", "no.json"], "'no.json' does not exist"),
        (
            ["--out", "x", "--preset", "glip-toy", "--device", "abacus"],
            "device must be auto, cpu, cuda or cuda:N, got 'abacus'",
        ),
        (["--out", "x", "--preset", "glip-toy", "--workers", "0"], "--workers must be >= 1"),
        (["--out", "x", "--preset", "glip-toy", "--threads", "-1"], "--threads must be >= 0, got"),
        (
            ["--out", "x", "--preset", "glip-toy", "--loader-processes", "-1"],
            "--loader-processes must be >= 0, got -1",
        ),
        (["--out", "x", "--tune", "full"], "--tune full starts from a trained network; name its"),
        (["--out", "x", "--tune", "prompt", "--warm-start", "no/model"], "no/model"),
        (["--out", "x", "--steps", "2", "--epochs", "1"], "give --steps or --epochs, not both"),
        (["--out", "x", "--preset", "glip-toy", "--epochs", "0"], "--epochs must be positive, got"),
        (["--out", "x", "--preset", "glip-toy", "--shots", "2"], "--shots goes with --gold"),
        (
            ["--out", "x", "--preset", "glip-toy", "--steps", "0"],
            "pretrain: --steps must be a whole",
        ),
        (["--out", "x", "--preset", "glip-toy", "--rate", "-1"], "pretrain: --rate must be"),
        (["--out", "x", "--preset", "glip-toy", "--rate", "0"], "pretrain: --rate must be"),
        (
            ["--out", "x", "--preset", "glip-toy", "--set", "train.steps=0"],
            "pretrain: recipe.train.steps must be",
        ),
        (
            ["--out", "x", "--preset", "glip-toy", "--gold", "a.json", "--shots", "-1"],
            "shots must be a whole number >= 0, got -1",
        ),
    ],
)
def test_wrong_usage_is_exit_code_2_and_a_sentence(
    arguments_, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["pretrain", *arguments_]) == 2
    assert message in capsys.readouterr().err


def test_a_dry_run_prints_the_recipe_and_writes_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["pretrain", "--preset", "glip-t", "--out", str(out), "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["optimizer"]["rate"] == 1e-4
    assert not out.exists()


@pytest.mark.slow
def test_a_wrong_command_leaves_nothing_that_refuses_the_right_one(
    recipe: Path, gold, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "student"
    wrong = arguments(recipe, gold, out, "--warm-start", str(tmp_path / "nowhere"))
    assert main(wrong) == 2
    assert "nowhere' is not a model directory" in capsys.readouterr().err
    assert not (out / "recipe.json").exists()
    assert main(arguments(recipe, gold, out, "--steps", "1")) == 0
    assert main([*arguments(recipe, gold, out), "--steps", "2", "--rate", "5"]) == 2
    assert (out / "recipe.json").exists()  # of a run that has begun
