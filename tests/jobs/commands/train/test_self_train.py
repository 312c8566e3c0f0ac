"""Rounds of self-training: tiny, every step real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.cli import main
from model.files.shipped import shipped_nano
from pipeline.run.store import RunStore


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    assert main(["demo", "world", "--out", str(folder / "web"), "--scenes", "6"]) == 0
    gold = ["--out", str(folder / "gold"), "--kind", "gold", "--scenes", "6"]
    assert main(["demo", "world", *gold]) == 0
    return folder


@pytest.fixture
def recipe(world: Path, tmp_path: Path) -> Path:
    path = tmp_path / "student.json"
    train = {"steps": 2, "batch_size": 2, "precision": "fp32", "optimizer": {"rate": 1e-4}}
    plain = {
        "preset": "glip-nano",
        "warm_start": str(shipped_nano()),
        "sources": [{"gold": str(world / "gold" / "grounding.json"), "weight": 0.5}],
        "train": train | {"schedule": {"kind": "cosine", "warmup_steps": 1}},
    }
    path.write_text(json.dumps(plain))
    return path


@pytest.mark.slow
def test_two_rounds_and_a_third_later(
    world: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rounds"
    args = ["self-train", "--out", str(out), "--recipe", str(recipe), "--runner", "local"]
    args += ["--corpus", str(world / "web"), "--labels-weight", "0.5", "--threads", "1"]
    args += ["--held-out", str(world / "gold" / "grounding.json")]
    assert main([*args, "--rounds", "2"]) == 0
    said = capsys.readouterr().out
    assert "== Round 1 of 2: shipped labels" in said
    assert f"== Round 2 of 2: {out}/round-1/student/model labels" in said
    first, second, third = json.loads((out / "rounds.json").read_text())
    assert (first["round"], first["model"]) == (0, "shipped")
    assert 0 <= first["figures"]["gold-grounding"]["value"] <= 1
    assert second["labels"] > 0
    assert "against_the_round_before" not in second
    assert 0 < third["against_the_round_before"]["total"]["agreement"] <= 1
    teachers = [
        {row.teacher_id for row in RunStore(out / f"round-{n}" / "run").iter_annotations()}
        for n in (1, 2)
    ]
    assert teachers[0] != teachers[1]
    for number in (1, 2):
        recipe_of = json.loads((out / f"round-{number}/student/model/recipe.json").read_text())
        assert recipe_of["sources"][1]["curated"] == str(out / f"round-{number}" / "run")
        assert recipe_of["sources"][1]["weight"] == 0.5

    assert main([*args, "--rounds", "3"]) == 0
    again = capsys.readouterr().out
    assert again.count("1 unit, 1 to do") == 1  # only the third round labels
    assert again.count("step 2/2") == 1
    assert [row["round"] for row in json.loads((out / "rounds.json").read_text())] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["--labels-weight", "0"], "--labels-weight must be positive, got 0.0"),
        (["--out", "s3://bucket/rounds"], "--out must be a local folder"),
        (["--recipe", "no.json"], "--recipe: there is no file 'no.json'"),
        (
            ["--held-out", "a/gold.json", "--held-out", "b/../a/gold.json"],
            "--held-out: two data sets have one name: a-gold, a-gold",
        ),
    ],
)
def test_options_are_checked(
    options, said: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = ["--corpus", str(tmp_path), "--out", str(tmp_path / "o"), "--recipe", str(recipe)]
    if options[0] in needed:
        place = needed.index(options[0])
        del needed[place : place + 2]
    assert main(["self-train", *needed, *options]) == 2
    assert said in capsys.readouterr().err
