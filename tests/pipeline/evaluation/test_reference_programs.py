"""COCO's numbers against pycocotools' own run, LVIS's against a transcript of its rules.

GLIPFORGE_RANDOM_SETS gives the number of random sets; 200 by hand, a few in the suite.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation import detection
from pipeline.evaluation.detection import detection_figures
from pipeline.evaluation.results_file import load_results
from pipeline.gold import load_gold
from tests.pipeline.evaluation.lvis_rules import fixed_limit, image_limit, lvis_reference

SETS = int(os.environ.get("GLIPFORGE_RANDOM_SETS", "6"))
Rows = list[dict[str, Any]]


def random_files(folder: Path, seed: int, *, federated: bool = False) -> tuple[str, str]:
    """Gold and results with what is awkward: ids out of order or text, gaps, ties, crowds, boxes
    outside of the image, areas of masks, empty images and categories, over 100 detections."""
    rng = np.random.default_rng(seed)
    num_images, num_categories = int(rng.integers(1, 12)), int(rng.integers(1, 5))
    numbers = rng.permutation(np.arange(3, 3 + 7 * num_images, 7))
    as_text = bool(rng.random() < 0.4) and not federated
    ids = [f"im{n}" if as_text else int(n) for n in numbers]
    categories = [int(c) for c in rng.permutation(np.arange(0, 5 * num_categories, 5))]
    whole = rng.random() < 0.5
    images, annotations, results = [], [], []
    for image_id in ids:
        entry = {"id": image_id, "file_name": f"{image_id}.jpg", "width": 200, "height": 150}
        boxes = [random_box(rng, whole) for _ in range(int(rng.integers(0, 8)))]
        names = [int(c) for c in rng.choice(categories, size=len(boxes))]
        if federated:
            absent = [c for c in categories if c not in names and rng.random() < 0.5]
            partly = [c for c in categories if c in names and rng.random() < 0.3]
            entry |= {"neg_category_ids": absent, "not_exhaustive_category_ids": partly}
        images.append(entry)
        for box, name in zip(boxes, names, strict=True):
            one: dict[str, Any] = {"image_id": image_id, "category_id": name, "bbox": box}
            one |= {"id": len(annotations) + 1, "area": box[2] * box[3] * float(rng.random())}
            if not federated:
                one["iscrowd"] = int(rng.random() < 0.15)
            annotations.append(one)
        for _ in range(int(rng.choice([0, 1, 2, 40]))):
            box = random_box(rng, whole)
            if boxes and rng.random() < 0.6:
                near = boxes[int(rng.integers(len(boxes)))]
                box = [
                    a + (b - a) * float(rng.choice([0, 0.1, 0.4]))
                    for a, b in zip(near, box, strict=True)
                ]
            name = int(rng.choice(names if names and rng.random() < 0.7 else categories))
            value = float(rng.choice([0.1, 0.5, 0.9, rng.random()]))
            results.append({"image_id": image_id, "category_id": name, "bbox": box, "score": value})
    if rng.random() < 0.3:  # over 100 of one category in one image
        box = random_box(rng, whole)
        for _ in range(130):
            value = float(rng.choice([0.3, rng.random()]))
            moved = [float(v) for v in np.array(box) + rng.normal(0, 3, 4)]
            moved[2:] = [max(v, 1.0) for v in moved[2:]]
            one = {"image_id": ids[0], "category_id": categories[0], "bbox": moved}
            results.append(one | {"score": value})
    if not results:
        one = {"image_id": ids[0], "category_id": categories[0], "bbox": [0, 0, 9, 9]}
        results.append(one | {"score": 0.5})
    rng.shuffle(results)  # type: ignore[arg-type]
    listed = [{"id": c, "name": f"c{c}"} for c in categories]
    if federated:
        listed = [one | {"frequency": "rcf"[n % 3]} for n, one in enumerate(listed)]
    folder.mkdir(parents=True, exist_ok=True)
    gold, found = folder / "gold.json", folder / "results.json"
    content = {"images": images, "annotations": annotations, "categories": listed}
    gold.write_text(json.dumps(content))
    found.write_text(json.dumps(results))
    return str(gold), str(found)


def random_box(rng: np.random.Generator, whole: bool) -> list[float]:
    x, y = rng.uniform(-30, 180), rng.uniform(-30, 140)
    width, height = rng.choice([8, 40, 120], size=2) * rng.uniform(0.5, 1.2, size=2)
    box = [float(v) for v in (x, y, width, height)]
    return [float(round(v)) for v in box] if whole else box


def pycocotools_numbers(gold: str, results: str) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(gold)
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float("nan") if value < 0 else float(value) for value in evaluation.stats]


@pytest.mark.parametrize("seed", range(SETS))
def test_the_twelve_numbers_are_those_of_pycocotools(tmp_path: Path, seed: int) -> None:
    gold_path, results_path = random_files(tmp_path, seed)
    gold = load_gold(gold_path)
    detected, _ = load_results(results_path, gold)
    figures = detection_figures(gold, detected, resamples=0)
    expected = pycocotools_numbers(gold_path, results_path)
    assert list(figures.numbers.values()) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert figures.ap.value == pytest.approx(expected[0], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(SETS))
@pytest.mark.parametrize("rule", ["fixed AP", "lvis"])
def test_the_numbers_of_lvis_are_those_of_its_rules(
    tmp_path: Path, seed: int, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "FIXED_AP_DETECTIONS", 15)  # so that the limits bite
    monkeypatch.setattr(detection, "LVIS_DETECTIONS", 12)
    gold_path, results_path = random_files(tmp_path, seed, federated=True)
    gold = load_gold(gold_path)
    detected, _ = load_results(results_path, gold)
    figures = detection_figures(gold, detected, resamples=0)
    limit: Callable[[Rows], Rows] = fixed_limit(15) if rule == "fixed AP" else image_limit(12)
    rows = limit(json.loads(Path(results_path).read_text()))
    expected = lvis_reference(json.loads(Path(gold_path).read_text()), rows)
    found = figures.numbers if rule == "fixed AP" else figures.lvis
    by_name = {name.replace("@12", ""): value for name, value in found.items()}
    assert by_name == pytest.approx(expected, abs=1e-12, nan_ok=True)
