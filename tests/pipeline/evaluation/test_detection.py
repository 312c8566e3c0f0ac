from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.detected import Detected, best_of_category
from pipeline.evaluation.detection import detection_figures
from pipeline.gold.gold_set import GoldKind, GoldSet, IgnoredBox
from schemas.boxes import as_boxes
from schemas.errors import ConfigError
from schemas.records import TrainingSample

CAT, DOG = (0.0, 0.0, 20.0, 20.0), (30.0, 0.0, 50.0, 20.0)


def sample(number: int, *boxes: Any) -> TrainingSample:
    return TrainingSample(
        sample_id=f"s{number}",
        image_uri=f"{number}.jpg",
        width=64,
        height=48,
        caption="",
        boxes=boxes,
        spans=((),) * len(boxes),
        weights=(1.0,) * len(boxes),
    )


def gold_set(**changes: Any) -> GoldSet:
    fields: dict[str, Any] = {
        "name": "toy",
        "format": "coco",
        "kind": GoldKind.DETECTION,
        "samples": (sample(0, CAT, DOG), sample(1, DOG), sample(2)),
        "categories": ("cat", "dog", "cow"),
        "box_categories": {"s0": (0, 1), "s1": (1,), "s2": ()},
        "is_exhaustive": True,
    }
    return GoldSet(**(fields | changes))


def detected(*rows: tuple[Any, int, float]) -> Detected:
    return Detected(
        xyxy=as_boxes([row[0] for row in rows]),
        categories=np.array([row[1] for row in rows], dtype=np.int64),
        scores=np.array([row[2] for row in rows], dtype=np.float64),
    )


NONE = detected()


def test_perfect_detections() -> None:
    found = detection_figures(
        gold_set(),
        {"s0": detected((CAT, 0, 0.9), (DOG, 1, 0.8)), "s1": detected((DOG, 1, 0.7)), "s2": NONE},
        resamples=20,
    )
    assert (found.num_images, found.num_boxes) == (3, 3)
    assert found.ap.value == found.ap50.value == pytest.approx(1.0)
    assert found.agnostic_recall.value == 1.0
    assert found.by_category == pytest.approx({"cat": 1.0, "dog": 1.0})  # cow has no gold box
    assert found.chance_ap50 < 1.0
    assert found.ap50.low == pytest.approx(1.0)
    assert found.curves_by_category == {"cat": [1.0] * 101, "dog": [1.0] * 101}


def test_categories_of_one_name_are_told_apart() -> None:
    twins = replace(gold_set(), categories=("cat", "cat", "cow"), category_ids=(3, 7, 9))
    found = detection_figures(
        twins, {"s0": detected((CAT, 0, 0.9)), "s1": NONE, "s2": NONE}, resamples=0
    )
    assert found.by_category == pytest.approx({"cat (id 3)": 1.0, "cat (id 7)": 0.0})
    assert set(found.curves_by_category) == {"cat (id 3)", "cat (id 7)"}


def test_chance_draws_from_what_was_asked() -> None:
    asked = {"s0": [0], "s1": [1], "s2": [0]}
    one_cat = gold_set(
        samples=(sample(0, CAT), sample(1, DOG)), box_categories={"s0": (0,), "s1": (1,)}
    )
    answers = {"s0": NONE, "s1": NONE}
    found = detection_figures(one_cat, answers, asked=asked, resamples=0)
    assert found.chance_ap50 == pytest.approx(1.0)  # nothing else to say


def test_nothing_found_is_zero() -> None:
    found = detection_figures(gold_set(), {"s0": NONE, "s1": NONE, "s2": NONE}, resamples=5)
    assert found.ap.value == found.ap50.value == 0.0
    assert found.agnostic_recall.value == 0.0
    assert found.confusion == {"cat": {"(not found)": 1}, "dog": {"(not found)": 2}}


def test_wrong_names_cost_ap_and_not_agnostic_recall() -> None:
    found = detection_figures(
        gold_set(),
        {"s0": detected((CAT, 1, 0.9), (DOG, 0, 0.8)), "s1": detected((DOG, 2, 0.7)), "s2": NONE},
        resamples=0,
    )
    assert found.ap50.value == 0.0
    assert found.agnostic_recall.value == 1.0
    assert found.confusion == {"cat": {"dog": 1}, "dog": {"cat": 1, "cow": 1}}
    assert np.isnan(found.ap50.low)  # no resampling asked for


def test_loose_boxes_count_for_ap50_only() -> None:
    loose = (0.0, 0.0, 20.0, 12.0)  # IoU 0.6
    answers = {"s0": detected((loose, 0, 0.9), (DOG, 1, 0.9))}
    found = detection_figures(gold_set(), answers, resamples=0)
    assert found.num_images == 1  # only the images that were asked
    assert found.ap50.value == pytest.approx(1.0)
    assert found.ap.value == pytest.approx((3 / 10 + 1) / 2)  # IoU 0.50, 0.55, 0.60 of ten


def test_a_false_positive_in_a_crowd_is_ignored() -> None:
    wrong = detected((CAT, 0, 0.9), (DOG, 0, 0.95))
    plain = gold_set(samples=(sample(0, CAT),), box_categories={"s0": (0,)})
    assert detection_figures(plain, {"s0": wrong}, resamples=0).ap50.value == pytest.approx(0.5)
    crowd = gold_set(
        samples=(sample(0, CAT),),
        box_categories={"s0": (0,)},
        ignored={"s0": (IgnoredBox(xyxy=DOG, category=0),)},
    )
    assert detection_figures(crowd, {"s0": wrong}, resamples=0).ap50.value == pytest.approx(1.0)


def test_agnostic_recall_takes_twenty_places() -> None:
    # 30 names on one place are one place; 25 other places before the right one are too many
    crowded = detected(*[(DOG, n % 3, 0.9) for n in range(30)], (CAT, 0, 0.1))
    gold = gold_set(samples=(sample(0, CAT),), box_categories={"s0": (0,)})
    assert detection_figures(gold, {"s0": crowded}, resamples=0).agnostic_recall.value == 1.0
    spread = [((x, 30.0, x + 1.0, 31.0), 0, 0.9) for x in map(float, range(20))]
    late = detected(*spread, (CAT, 0, 0.1))
    assert detection_figures(gold, {"s0": late}, resamples=0).agnostic_recall.value == 0.0


def test_what_cannot_be_measured_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"no image of gold 'toy' was asked"):
        detection_figures(gold_set(), {})
    grounding = gold_set(kind=GoldKind.GROUNDING)
    with pytest.raises(ConfigError, match=r"gold 'toy' is grounding gold; AP needs detection gold"):
        detection_figures(grounding, {"s0": NONE})


def test_federated_labels_judge_only_what_was_looked_for() -> None:
    wrong = detected((CAT, 0, 0.5), (DOG, 0, 0.9), (DOG, 1, 0.9), (CAT, 2, 0.9))
    federated = gold_set(
        samples=(sample(0, CAT),),
        box_categories={"s0": (0,)},
        is_exhaustive=False,
        frequencies=("r", "c", "f"),
    )
    # dog and cow were not looked for; the wrong cat counts
    plain = detection_figures(federated, {"s0": wrong}, resamples=0)
    assert plain.ap50.value == pytest.approx(0.5)
    assert plain.by_frequency == {"r": pytest.approx(0.5)}
    # cats may be unlabelled here: another cat is not an error
    partly = replace(federated, not_exhaustive={"s0": (0,)})
    assert detection_figures(partly, {"s0": wrong}, resamples=0).ap50.value == pytest.approx(1.0)


def test_fixed_ap_keeps_the_best_of_a_category_over_all_images() -> None:
    many = {
        "a": detected((CAT, 0, 0.1), (CAT, 0, 0.9)),
        "b": detected((CAT, 0, 0.5), (DOG, 1, 0.05), (CAT, 0, 0.5)),
    }
    kept = best_of_category(many, 2)  # of equal scores the first
    assert [one.scores.tolist() for one in kept.values()] == [[0.9], [0.5, 0.05]]
    kept = best_of_category(many, 2, of_image=2)
    assert [one.scores.tolist() for one in kept.values()] == [[0.1, 0.9], [0.5, 0.05, 0.5]]
    assert [len(one.scores) for one in best_of_category(many, 4).values()] == [2, 3]
    assert best_of_category({"a": NONE}, 3)["a"] is NONE


def test_what_nobody_looked_for_uses_up_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.evaluation.detection.FIXED_AP_DETECTIONS", 2)
    federated = gold_set(
        samples=(sample(0, CAT), sample(1, DOG)),
        box_categories={"s0": (0,), "s1": (1,)},
        is_exhaustive=False,
    )
    right, stray = detected((CAT, 0, 0.5)), detected((CAT, 0, 0.9), (DOG, 0, 0.8), (DOG, 1, 0.9))
    found = detection_figures(federated, {"s0": right, "s1": stray}, resamples=0)
    assert found.by_category == pytest.approx({"cat": 0.0, "dog": 1.0})
    assert found.protocol == "fixed AP"
    assert found.lvis["AP50"] == pytest.approx(1.0)  # its limit is per image
