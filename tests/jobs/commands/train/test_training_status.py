"""What `glipforge status` says of a training."""

from __future__ import annotations

import json
from pathlib import Path

from jobs.cli import main
from tests.jobs.commands.train.toy_training import (
    arguments,
)


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
