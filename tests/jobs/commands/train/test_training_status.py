"""What `glipforge status` says of a training."""

from __future__ import annotations

import json
import re
from pathlib import Path

from PIL import Image

from jobs.cli import main
from tests.jobs.commands.train.toy_training import TOY, arguments
from tests.jobs.shapes import write_shapes


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
    last = state["last"]
    (out / "train.json").write_text(json.dumps(state | {"last": last | {"loss": "nan"}}))
    assert main(["status", str(out)]) == 0  # what a run writes of a loss that is no number
    assert "losses   loss nan, token" in capsys.readouterr().out
    for damaged in (
        *({}, [], 7, "x", True, state | {"step": "4"}, state | {"total_steps": 10**400}),
        *(state | {"last": []} | {"last": [1]}, state | {"last": {"loss": 1.0}}),
        *(state | {"drops": {"x": "y"}}, state | {"evaluation": "x"}, state | {"pid": 10**400}),
        *(state | {"host": "x", "last": last | {"at": "noon"}},),
    ):
        (out / "train.json").write_text(json.dumps(damaged))
        assert main(["status", str(out)]) == 1, damaged
        said = capsys.readouterr().err
        assert "is not the state of a training run" in said
        assert "Delete it, and the same `glipforge pretrain` goes on" in said
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


def test_pictures_that_are_left_out_are_told(tmp_path: Path, capsys) -> None:
    """One is turned by its EXIF and its boxes are not, one is damaged."""
    gold = write_shapes(tmp_path / "gold", 8)
    turned = Image.new("RGB", (64, 32), (90, 90, 90))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(tmp_path / "gold" / "0.png", exif=exif)
    (tmp_path / "gold" / "1.png").write_bytes(b"no picture")
    for path in gold:
        content = json.loads(path.read_text())
        content["images"][0] |= {"width": 64, "height": 32}
        content["annotations"] = [
            one | {"bbox": [4, 4, 18, 20]} if one["image_id"] == 0 else one
            for one in content["annotations"]
        ]
        path.write_text(json.dumps(content))
    recipe = tmp_path / "toy.json"
    train = TOY["train"] | {"steps": 4, "log_every": 2, "checkpoint_every": 2}
    recipe.write_text(json.dumps(TOY | {"train": train}))
    out = tmp_path / "run"
    assert main(arguments(recipe, gold, out)) == 1
    said = capsys.readouterr().err
    assert "2 of 8" in said, said
    assert "max_unreadable" in said
    assert not (out / "checkpoints").exists()
    recipe.write_text(json.dumps(TOY | {"train": train | {"max_unreadable": 0.5}}))
    assert main(arguments(recipe, gold, tmp_path / "run2")) == 0
    said = "".join(capsys.readouterr())
    assert "2 of 8" in said, said
    assert "unreadable images " in said, said
    named = [json.loads(line) for line in (tmp_path / "run2" / "unreadable.jsonl").open()]
    reasons = " ".join(one["reason"] for one in named)
    assert "32 x 64 pixels upright, its boxes are of one with 64 x 32" in reasons
    assert "not an image of a format that is read" in reasons
    assert main(["status", str(tmp_path / "run2")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"unread   [1-9]\d* times an image could not be read; .*jsonl names", said)
