from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.average_precision import CategoryMatches, category_matches, mean_precision
from pipeline.evaluation.coco_scores import Scores, score, truth_of
from pipeline.evaluation.detected import Detected
from pipeline.gold.gold_set import GoldSet, IgnoredBox
from schemas.boxes import as_boxes
from tests.pipeline.evaluation.test_detection import gold_set, sample


def random_world(seed: int, num_images: int) -> tuple:
    """Gold and noisy detections of three categories, with crowds, misses and false positives."""
    rng = np.random.default_rng(seed)
    samples, box_categories, ignored, found = [], {}, {}, []
    for number in range(num_images):
        low = rng.uniform(0, 40, size=(int(rng.integers(0, 5)), 2))
        boxes = np.concatenate([low, low + rng.uniform(4, 20, size=low.shape)], axis=1)
        names = rng.integers(0, 3, size=len(boxes))
        samples.append(sample(number, *(tuple(box) for box in boxes)))
        box_categories[f"s{number}"] = tuple(int(c) for c in names)
        if number % 3 == 0:
            region = IgnoredBox(xyxy=(0.0, 0.0, 30.0, 30.0), category=0)
            ignored[f"s{number}"] = (region,)
        shaken = boxes + rng.normal(0, 1.5, size=boxes.shape)
        shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
        extra = rng.uniform(0, 30, size=(3, 2))
        shaken = np.concatenate([shaken, np.concatenate([extra, extra + 8], axis=1)])
        categories = np.concatenate([names, rng.integers(0, 3, size=3)])
        scores = rng.choice([0.2, 0.5, 0.7, 0.9], size=len(shaken))  # many ties
        found.append(Detected(xyxy=as_boxes(shaken), categories=categories, scores=scores))
    return gold_set(samples=tuple(samples), box_categories=box_categories, ignored=ignored), found


def matches_of(gold: GoldSet, found: list[Detected]) -> tuple[Scores, list[CategoryMatches]]:
    truth = truth_of(gold, {one.sample_id for one in gold.samples})
    scores = score(gold, truth, found)
    size = len(gold.samples)
    rows = [scores.compared[at : at + size] for at in range(0, 3 * size, size)]
    return scores, [m for row in rows if (m := category_matches(row, 100))]


@pytest.mark.parametrize("seed", range(5))
def test_every_image_once_is_what_pycocotools_says(seed: int) -> None:
    gold, found = random_world(seed, 30)
    scores, matches = matches_of(gold, found)
    ours = mean_precision(matches, np.ones(30))
    assert ours.mean() == pytest.approx(scores.ap(), abs=1e-9)
    assert ours[0] == pytest.approx(scores.ap(iou=0.5), abs=1e-9)


def test_an_image_drawn_twice_is_two_images() -> None:
    gold, found = random_world(7, 6)
    times = np.array([2, 0, 1, 1, 0, 2])
    chosen = np.repeat(np.arange(6), times)
    samples = [gold.samples[i] for i in chosen]
    copies = tuple(sample(number, *one.boxes) for number, one in enumerate(samples))
    doubled = gold_set(
        samples=copies,
        box_categories={f"s{n}": gold.box_categories[f"s{i}"] for n, i in enumerate(chosen)},
        ignored={
            f"s{n}": gold.ignored[f"s{i}"] for n, i in enumerate(chosen) if f"s{i}" in gold.ignored
        },
    )
    scores, _ = matches_of(doubled, [found[i] for i in chosen])
    _, matches = matches_of(gold, found)
    ours = mean_precision(matches, times.astype(float))
    # Ties between images sort otherwise among copies; the difference stays small.
    assert ours.mean() == pytest.approx(scores.ap(), abs=0.02)


def test_nothing_to_find() -> None:
    assert category_matches([None, None], 100) is None
    assert np.isnan(mean_precision([], np.ones(2))).all()
