from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from jobs.cli import main
from model.files.directory import read_weights
from model.files.pretrained import load_pretrained
from model.training.checkpoint import list_checkpoints
from model.training.journal import read_log
from tests.jobs.shapes import write_shapes

TOY = {
    "preset": "glip-toy",
    "network": {"drop_path": 0.15},
    "train": {
        "steps": 12,
        "batch_size": 4,
        "precision": "fp32",
        "optimizer": {"rate": 1e-3},
        "schedule": {"kind": "cosine", "warmup_steps": 2},
        "log_every": 4,
        "checkpoint_every": 4,
    },
    "mixture": {"augment": {"crop_share": 0.3, "light": 0.2}},
    "cache_side": 64,
}


@pytest.fixture(scope="module")
def gold(tmp_path_factory) -> tuple[Path, Path]:
    return write_shapes(tmp_path_factory.mktemp("gold"), 16)


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(TOY))
    return path


def arguments(recipe: Path, gold: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    files = [word for path in gold for word in ("--gold", str(path))]
    options = ["--trackers", "tensorboard", "--threads", "1", "--device", "cpu"]
    return [
        "pretrain",
        "--recipe",
        str(recipe),
        *files,
        "--out",
        str(out),
        *options,
        *more,
    ]


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    return read_weights(out / "model")


def assert_same_model(a: Path, b: Path) -> None:
    one, two = weights_of(a), weights_of(b)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


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


def start(arguments_: list[str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "jobs", *arguments_]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for_checkpoint(process: subprocess.Popen, out: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while not any(at >= step for at, _ in list_checkpoints(out / "checkpoints")):
        assert process.poll() is None, f"the run ended before its checkpoint of step {step}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    assert process.wait(60) == 130
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
        (["--out", "x", "--preset", "glip-toy", "--shots", "2"], "--shots is of the --gold given"),
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


LONGER = ("--steps", "24")


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory) -> tuple[Path, Path]:
    """(folder of recipe and gold, finished run) of two workers, with paths that are relative: a
    worker of Ray stands in a folder of its own."""
    folder = tmp_path_factory.mktemp("two")
    write_shapes(folder / "gold", 16)
    (folder / "toy.json").write_text(json.dumps(TOY))
    files = (Path("gold") / "grounding.json", Path("gold") / "coco.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command = arguments(Path("toy.json"), files, folder / "run", *LONGER, "--workers", "2")
        assert main(command) == 0
    return folder, folder / "run"


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_of_ray_train(two_workers) -> None:
    _, run = two_workers
    assert load_pretrained(run / "model").config.preset == "glip-toy"
    assert [entry["step"] for entry in read_log(run / "log.jsonl")][-1] == 24


@pytest.mark.slow
@pytest.mark.ray
def test_ray_train_survives_the_death_of_a_worker(two_workers, tmp_path) -> None:
    folder, run = two_workers
    out = tmp_path / "run"
    files = (folder / "gold" / "grounding.json", folder / "gold" / "coco.json")
    process = start(arguments(folder / "toy.json", files, out, *LONGER, "--workers", "2"))
    wait_for_checkpoint(process, out, 4)
    state = json.loads((out / "train.json").read_text())
    assert state["status"] == "running"
    os.kill(state["pid"], signal.SIGKILL)
    assert process.wait(240) == 0
    again = json.loads((out / "train.json").read_text())
    assert again["first_step"] >= 4
    assert again["pid"] != state["pid"]
    assert_same_model(out, run)


def test_status_of_a_training_run(recipe: Path, gold, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert main(arguments(recipe, gold, out)) == 0
    capsys.readouterr()
    assert main(["status", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"run      {out}: complete" in said
    assert "steps    12 of 12" in said
    assert "losses   loss " in said
    assert f"model    {out}/model" in said
    state = json.loads((out / "train.json").read_text())
    (out / "train.json").write_text(json.dumps(state | {"step": 4, "pid": 2**22 - 1}))
    assert main(["status", str(out)]) == 0
    assert "not complete and nobody works on it" in capsys.readouterr().out
    assert main(["status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 4
    (out / "train.json").write_text("{}")
    assert main(["status", str(out)]) == 1
    assert "is not the state of a training run" in capsys.readouterr().err
    (out / "recipe.json").write_text("{")
    assert main(["status", str(out)]) == 2
    assert "recipe.json is not JSON" in capsys.readouterr().err


def test_status_of_a_training_that_has_not_begun(recipe: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    command = arguments(recipe, (tmp_path / "no.json", tmp_path / "none.json"), out)
    assert main(command) == 2
    assert not (out / "recipe.json").exists()
    capsys.readouterr()
    assert main([*command, "--dry-run"]) == 0
    (out / "recipe.json").write_text(capsys.readouterr().out)  # killed before the first step
    assert main(["status", str(out)]) == 0
    said = capsys.readouterr().out
    assert "not complete and nobody works on it (it has not begun); the same" in said
    assert "steps    0 of 12" in said
    assert main(["status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is False
    (out / "recipe.json").write_text("{}")
    assert main(["status", str(out)]) == 2
    assert "has no number train.steps" in capsys.readouterr().err


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
