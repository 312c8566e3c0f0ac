"""What was labelled under a run's own image limits is opened under them ever after."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main
from jobs.commands.label.label import Running, label
from jobs.training.data import _limits, read_image
from jobs.training.load_recipe import load_recipe
from jobs.training.recipe import SourceSpec
from pipeline.images.decode import ImageLimits
from pipeline.labelling.pairs import PairLimits
from pipeline.run.limits import image_limits, widest_limits
from pipeline.run.store import RunStore
from schemas.errors import RecordError
from tests.jobs.fake_label import FakeSetup

SIDE = 6
"""Pixels; the usual limit is 8."""


@pytest.fixture
def tiny_run(tmp_path: Path) -> RunStore:
    """A run over pictures that the usual limits refuse."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for number in range(6):
        pixels = np.full((SIDE, SIDE, 3), 30 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a cat and a dog")
    limits = PairLimits(image=ImageLimits(min_side_px=1))
    out = tmp_path / "run"
    label(FakeSetup(corpus=str(folder), limits=limits), str(out), 8, Running(runner="local"))
    return RunStore(out)


def test_export_and_report_open_what_was_labelled(
    tiny_run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "all.json"
    policy.write_text(json.dumps({"name": "all"}))
    rows = [row for row in tiny_run.iter_annotations() if row.boxes]
    assert len(rows) > 2
    capsys.readouterr()
    out = tmp_path / "labels.json"
    words = ["export", tiny_run.uri, "--policy", str(policy), "--out", str(out)]
    assert main([*words, "--copy-images", str(tmp_path / "images")]) == 0
    assert "cannot be copied" not in capsys.readouterr().out
    images = json.loads(out.read_text())["images"]
    assert len(images) == len(rows)
    assert Image.open(tmp_path / "images" / images[0]["file_name"]).size == (SIDE, SIDE)
    assert main(["report", tiny_run.uri, "--policy", str(policy)]) == 0
    page = Path(tiny_run.uri, "report.html").read_text()
    assert page.count("data:image/jpeg") == len(rows)
    assert "image_too_small" not in page


def test_training_reads_what_was_labelled(tiny_run: RunStore) -> None:
    source = SourceSpec(curated=tiny_run.uri, policy="all")
    recipe = load_recipe(None, "glip-nano", sources=(source, SourceSpec(gold="gold.json")))
    uri = next(tiny_run.iter_annotations()).image_uri
    assert read_image(uri, limits=_limits(recipe)).shape == (SIDE, SIDE, 3)
    with pytest.raises(RecordError, match="image_too_small"):
        read_image(uri)


def test_limits_of_a_run_and_of_several(tiny_run: RunStore) -> None:
    own = image_limits(tiny_run)
    assert own == ImageLimits(min_side_px=1)
    narrow = ImageLimits(min_side_px=64, max_aspect=2.0)
    assert widest_limits([narrow, own]) == ImageLimits(min_side_px=1)
    assert widest_limits([narrow]) == widest_limits([]) == ImageLimits()
