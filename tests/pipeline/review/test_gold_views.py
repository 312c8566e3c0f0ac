"""Gold boxes in the app: misses, false positives, wrong phrases."""

from __future__ import annotations

import pytest

from pipeline.review.sync.dataset.gold_views import compare_with_gold
from schemas.boxes import xyxy_to_relative_xywh
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


def test_misses_false_positives_and_wrong_phrases(bench: Bench) -> None:
    bench.push()
    first, second, third = bench.rows[0].boxes  # two of "a dog", one of "a café"
    places = [
        xyxy_to_relative_xywh([xyxy], (64, 48))[0].tolist()
        for xyxy in (first.xyxy, third.xyxy, (50.0, 2.0, 60.0, 10.0))
    ]
    gold = {"toy/0": [("a dog", places[0]), ("a dog", places[1]), ("a café", places[2])]}
    counts = compare_with_gold(bench.dataset, gold, iou=0.5)
    assert counts == {"right": 1, "misses": 1, "false positives": 1, "wrong phrases": 1}
    labels = {label["box_id"]: label for label in bench.document(0)["boxes"]["detections"]}
    assert labels[first.box_id]["eval"] == "tp"
    assert (labels[second.box_id]["eval"], labels[second.box_id]["eval_id"]) == ("fp", "")
    assert labels[third.box_id]["eval"] == "fp"
    for name in ("misses", "false positives", "wrong phrases"):
        view = bench.dataset.load_saved_view(f"gold: {name}")
        assert view.values("record_id") == ["toy/0"]
        assert len(view.first()["boxes"].detections) == 3  # whole samples: nothing is hidden
    assert bench.pull().decisions == []  # an evaluation is no verdict
    again = compare_with_gold(bench.dataset, gold, iou=0.5)
    assert again == counts
