"""Many gold sets measured as one benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from jobs.commands.train import evaluate
from pipeline.evaluation.suites.suite import read_suite
from schemas.errors import ConfigError
from tests.jobs.toy_run import draw_picture
from tests.pipeline.evaluation.test_teacher import ColourTeacher


def write_set(folder: Path, name: str, category: str) -> None:
    """One picture with the toy's red box, under a category of any name."""
    from tests.jobs.toy_run import RED

    folder.mkdir(exist_ok=True)
    draw_picture(folder / f"{name}.png")
    from PIL import Image

    width, height = Image.open(folder / f"{name}.png").size
    x0, y0, x1, y1 = (float(v) for v in RED)
    gold = {
        "images": [{"id": 1, "file_name": f"{name}.png", "width": width, "height": height}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        ],
        "categories": [{"id": 1, "name": category}],
    }
    gold["annotations"][0]["area"] = (x1 - x0) * (y1 - y0)  # type: ignore[index]
    (folder / f"{name}.json").write_text(json.dumps(gold))


def write_suite(folder: Path) -> Path:
    for name, category in (("plain", "red"), ("odd", "rosso"), ("other", "blue")):
        write_set(folder, name, category)
    content = {
        "sets": [
            {"gold": "plain.json"},
            {"gold": "odd.json", "name": "words", "prompts": {"rosso": {"prefix": "red "}}},
            {"gold": "odd.json", "name": "text", "prompts": {"rosso": "a red thing"}},
            {"gold": "other.json", "limit": 1, "max_names": 3},
            {"gold": "gone.json"},
            {"gold": "odd.json", "name": "typo", "prompts": {"rossso": "red"}},
        ]
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_suite_has_a_figure_for_each_set_and_their_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = ColourTeacher()
    teacher.note = ""  # type: ignore[attr-defined]
    loads = []
    monkeypatch.setattr(
        "model.teacher.load.load_teacher", lambda *_, **said: loads.append(said) or teacher
    )
    path = write_suite(tmp_path)
    out = tmp_path / "figures.json"
    config = evaluate.Config(suite=str(path), teacher="shipped", out=out)
    assert evaluate.run(config) == 1  # one is not there, one is wrong
    assert teacher.asked == [("red",), ("red rosso",), ("a red thing",), ("blue",)]
    assert [said["options"].max_names for said in loads] == [0, 3, 0]
    found = json.loads(out.read_text())
    figures = {name: one["detection"]["ap"]["value"] for name, one in found["sets"].items()}
    assert figures == pytest.approx({"plain": 1, "words": 1, "text": 1, "other": 0})
    assert found["means"] == pytest.approx({"mean AP": 0.75, "median AP": 1.0})
    assert "gone.json' does not exist" in found["failed"]["gone"]
    assert "prompts has 'rossso', which is not a category" in found["failed"]["typo"]
    printed = capsys.readouterr().out
    assert "mean AP" in printed
    assert "not measured: gone" in printed
    assert "1 of them in other words than their name" in printed


@pytest.mark.parametrize(
    "content, message",
    [
        ("[]", "must be a map with sets"),
        ("sets: []", "sets must name at least one gold set"),
        ("sets: [{gold: a.json}, {gold: b/a.json}]", "must have names of their own, got 'a' twice"),
        ("sets: [{gold: a.json, limit: -1}]", "limit"),
        ("sets: [{gold: a.json, promts: {}}]", "promts"),
        ("sets: [{gold: 3}]", "gold"),
        ("{", "cannot be read"),
    ],
)
def test_a_wrong_suite_is_explained(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_suite(str(path))


def test_a_suite_takes_no_gold_beside_it() -> None:
    with pytest.raises(ConfigError, match="suite must go with --teacher, and without --gold"):
        evaluate.run(evaluate.Config(suite="s.yaml", teacher="shipped", gold="a.json"))
    with pytest.raises(ConfigError, match="--gold must be given, or --suite with --teacher"):
        evaluate.run(evaluate.Config(teacher="shipped"))
