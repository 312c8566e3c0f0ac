from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.training.evaluation import make_evaluation
from jobs.training.recipe import Recipe, SourceSpec
from model.config import get_preset
from model.inputs.preprocess import Preprocessor
from model.inputs.tokenizer import default_tokenizer
from model.network.glip import Glip
from model.training.options import TrainOptions
from schemas.errors import ConfigError, DataError
from tests.jobs.shapes import write_shapes


class Evaluated:
    """The evaluation of a toy network on sources, and what it says."""

    def __init__(self, out: Path, *sources: SourceSpec, images: int = 4) -> None:
        self.said: list[str] = []
        recipe = Recipe(
            preset="glip-toy",
            train=TrainOptions(steps=1),
            evaluation=sources,
            evaluation_images=images,
        )
        self.out = out
        self.config = get_preset("glip-toy")
        preprocessor = Preprocessor(
            min_size=self.config.min_size,
            max_size=self.config.max_size,
            divisor=self.config.size_divisor,
        )
        evaluate = make_evaluation(
            recipe, self.config, default_tokenizer(), preprocessor, out, self.said.append
        )
        assert evaluate is not None
        self.evaluate = evaluate

    def __call__(self, step: int = 1) -> dict[str, float]:
        return dict(self.evaluate(Glip(self.config).eval(), step))


@pytest.fixture
def gold(tmp_path: Path) -> tuple[Path, Path]:
    return write_shapes(tmp_path / "gold", 4)


def both(gold: tuple[Path, Path]) -> tuple[SourceSpec, ...]:
    return tuple(SourceSpec(gold=str(path)) for path in gold)


def test_an_unreadable_image_is_left_out_counted_and_named_once(tmp_path, gold) -> None:
    (tmp_path / "gold" / "0.png").write_bytes(b"no image")
    evaluated = Evaluated(tmp_path / "out", *both(gold))
    found = evaluated()
    assert found["grounding.json/unreadable"] == 1
    assert found["coco.json/unreadable"] == 1
    assert 0.0 <= found["grounding.json/r1"] <= 1.0
    assert 0.0 <= found["coco.json/ap50"] <= 1.0
    evaluated(2)
    assert len(evaluated.said) == 2
    assert "'grounding.json': 1 of 4 images cannot be used; the first is" in evaluated.said[0]


def test_a_picture_of_another_size_than_gold_says_is_left_out(tmp_path, gold) -> None:
    picture = tmp_path / "gold" / "0.png"
    with Image.open(picture) as image:
        image.resize((image.width * 2, image.height)).save(picture)
    evaluated = Evaluated(tmp_path / "out", gold_source := SourceSpec(gold=str(gold[0])))
    assert evaluated()[f"{gold_source.label}/unreadable"] == 1
    assert "it has 128 x 64 pixels, gold says 64 x 64" in evaluated.said[0]


def test_nothing_is_said_where_all_can_be_read(tmp_path, gold) -> None:
    evaluated = Evaluated(tmp_path / "out", *both(gold))
    assert not [name for name in evaluated() if name.endswith("unreadable")]
    assert evaluated.said == []


def test_no_readable_image_is_refused_before_training(tmp_path, gold) -> None:
    for number in range(4):
        (tmp_path / "gold" / f"{number}.png").unlink()
    with pytest.raises(ConfigError, match="'grounding.json': 4 of 4 images cannot be used; the"):
        Evaluated(tmp_path / "out", *both(gold))


@pytest.mark.parametrize("which", [0, 1])
def test_images_that_all_vanish_while_it_trains_are_an_error(tmp_path, gold, which) -> None:
    evaluated = Evaluated(tmp_path / "out", both(gold)[which])
    for number in range(4):
        (tmp_path / "gold" / f"{number}.png").unlink()
    with pytest.raises(DataError, match="4 of 4 images cannot be used"):
        evaluated()


def test_two_sources_whose_files_are_named_alike_are_both_measured(tmp_path) -> None:
    a, b = (write_shapes(tmp_path / name, 2)[0] for name in ("a", "b"))
    found = Evaluated(tmp_path / "out", SourceSpec(gold=str(a)), SourceSpec(gold=str(b)))()
    assert {"a/grounding.json/r1", "b/grounding.json/r1"} <= found.keys()
    pictures = sorted(path.name for path in (tmp_path / "out").rglob("*.png"))
    assert pictures == ["a%2Fgrounding.json.png", "b%2Fgrounding.json.png"]


def test_detection_gold_without_annotation_measures_nothing(tmp_path, gold) -> None:
    raw = json.loads(gold[1].read_text()) | {"annotations": []}
    gold[1].write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="'coco.json' has 4 images and no annotation; nothing"):
        Evaluated(tmp_path / "out", SourceSpec(gold=str(gold[1])))
