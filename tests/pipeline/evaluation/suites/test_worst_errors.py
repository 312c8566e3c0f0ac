"""The page of the worst errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.commands.train import evaluate
from pipeline.evaluation.results_file import load_results
from pipeline.evaluation.suites.worst_errors import worst_errors
from pipeline.gold import load_gold
from schemas.errors import ConfigError


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """a.png: a cat found, a dog missed, a wrong dog; b.png: all right, and a crowd; c.png: gone."""
    for name in ("a", "b"):
        Image.new("RGB", (100, 80), (90, 90, 90)).save(tmp_path / f"{name}.png")
    images = [
        {"id": n, "file_name": f"{name}.png", "width": 100, "height": 80}
        for n, name in enumerate("abc")
    ]
    rows = [(0, 1, [0, 0, 20, 20], 0), (0, 2, [50, 50, 30, 20], 0), (1, 1, [0, 0, 50, 50], 0)]
    rows += [(1, 2, [0, 0, 100, 80], 1), (2, 2, [10, 10, 9, 9], 0)]
    annotations = [
        {"id": n + 1, "image_id": image, "category_id": c, "bbox": box, "iscrowd": crowd}
        | {"area": box[2] * box[3]}
        for n, (image, c, box, crowd) in enumerate(rows)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "<dog>"}]
    gold = tmp_path / "gold.json"
    content = {"images": images, "annotations": annotations, "categories": categories}
    gold.write_text(json.dumps(content))
    found = [(0, 1, [1, 0, 20, 20], 0.9), (0, 2, [0, 50, 20, 20], 0.8), (0, 1, [0, 0, 20, 19], 0.7)]
    found += [(0, 2, [60, 0, 9, 9], 0.1), (1, 1, [0, 0, 50, 50], 0.5), (1, 2, [3, 3, 9, 9], 0.9)]
    results = tmp_path / "results.json"
    keys = ("image_id", "category_id", "bbox", "score")
    results.write_text(json.dumps([dict(zip(keys, row, strict=True)) for row in found]))
    return gold, results


def test_what_counts_as_an_error(files: tuple[Path, Path]) -> None:
    gold = load_gold(str(files[0]))
    detected, _ = load_results(str(files[1]), gold)
    first, second = worst_errors(gold, detected, 10)
    assert first.sample.sample_id == "gold/0"
    assert first.wrong == (1, 2)  # not there, and a second box on one cat; the weak one is not told
    assert first.missed == (1,)
    assert first.weight == pytest.approx(1 + 0.8 + 0.7)
    assert (second.sample.sample_id, second.wrong, second.missed) == ("gold/2", (), (0,))
    assert len(worst_errors(gold, detected, 1)) == 1


def test_the_page(files: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "pages" / "errors.html"
    gold, results = map(str, files)
    config = evaluate.Config(gold=gold, detections=results, errors=page, json=True)
    assert evaluate.run(config) == 0
    text = page.read_text()
    assert text.count("<figure>") == 2
    assert text.count("data:image/jpeg;base64,") == 1
    assert "missed: &lt;dog&gt;" in text
    assert "wrong: &lt;dog&gt; 0.80, cat 0.70" in text
    assert "c.png" in text  # why there is no picture
    with pytest.raises(ConfigError, match="errors must go with --detections"):
        evaluate.run(evaluate.Config(gold=gold, teacher="shipped", errors=page))
