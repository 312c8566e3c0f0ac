"""Fuzzing of a training's own files: recipe, state, log, checkpoints, and the model directory.

    python -m tests.jobs.training_fuzz --cases 1000 --seed 1

As `tests.jobs.damage_fuzz`, whose damage it does. A toy is trained for two steps; the commands are
those that read its files: status, the same training again, and a detection with its model.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.jobs.commands.train.toy_training import TOY, arguments
from tests.jobs.damage_fuzz import Damaged, fuzz
from tests.jobs.shapes import write_shapes

_STEPS = 2


class DamagedTraining(Damaged):
    """Cases over the folder of a training."""

    most_s = 120.0  # some train again

    def _make(self) -> None:
        inputs = self.folder / "inputs"
        inputs.mkdir()
        recipe = json.loads(json.dumps(TOY))
        recipe["train"] |= {"steps": _STEPS, "batch_size": 2, "checkpoint_every": 1}
        recipe["cache_side"] = 0
        (inputs / "toy.json").write_text(json.dumps(recipe))
        gold = write_shapes(inputs, 2)
        self._training = arguments(inputs / "toy.json", gold, Path(self.run))
        code, said = self._quietly(self._training)
        assert code == 0, said
        (self.folder / "victim.txt").write_text("not theirs")

    def _is_ours(self, path: Path) -> bool:
        return (
            path.is_relative_to(self.run)
            and "cache" not in path.parts
            and not path.name.startswith("events")
            and path.suffix != ".md"
        )

    def _is_kept(self, path: Path) -> bool:
        return not path.is_relative_to(self.run) and path.name != "found.png"

    def _commands(self, name: Path) -> list[list[str]]:
        status = [["status", self.run], ["status", self.run, "--json"]]
        if "checkpoints" in name.parts:
            return [self._training]
        if "model" in name.parts:
            picture = str(next(self.folder.glob("inputs/**/*.png")))
            out = str(self.folder / "found.png")
            words = ["detect", picture, "--names", "square", "--device", "cpu", "--out", out]
            return [[*words, "--teacher", str(Path(self.run) / "model")]]
        if name.name in ("recipe.json", "_lock"):
            return [*status, self._training]
        return status

    def _require_sentence(self, where: str, name: Path, code: int, said: str) -> None:
        # Weights that are numbers, and others than they were, show in what the network answers.
        if code and not (name.suffix == ".safetensors" and "teacher_failed" in said):
            assert name.name in said, f"{where}: the file is not named: {said[-600:]}"


if __name__ == "__main__":
    raise SystemExit(fuzz(DamagedTraining, __doc__, 1_000))
