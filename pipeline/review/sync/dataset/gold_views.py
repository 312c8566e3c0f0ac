"""Gold boxes beside the labels in the App, compared by FiftyOne's own `evaluate_detections`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from pipeline.review.sync.label.documents import BOXES, sample_object_id

GROUND_TRUTH = "ground_truth"
EVAL_KEY = "eval"
"""As FiftyOne's users expect: `eval` is tp, fp or fn on each label, `eval_id` its partner."""

GoldBox = tuple[str, Sequence[float]]
"""The words that name it, and [x, y, width, height] as shares of the image."""


def compare_with_gold(
    dataset: Any, gold: Mapping[str, Sequence[GoldBox]], *, iou: float
) -> dict[str, int]:
    """Put gold boxes into a dataset, evaluate the labels against them, and save views.

    Runs where FiftyOne is loaded. Labels are matched to gold whatever their phrase, so that a box
    at the right place under the wrong phrase is told from one at a wrong place.

    Args:
        dataset: FiftyOne's.
        gold: record id -> its gold boxes; pairs that are not in it are not evaluated.
        iou: from which overlap on a label is at a gold box's place.

    Returns:
        Counts of `right`, `misses`, `false positives` and `wrong phrases`.
    """
    import fiftyone as fo
    from fiftyone import ViewField as F

    if not dataset.has_sample_field(GROUND_TRUTH):
        dataset.add_sample_field(
            GROUND_TRUTH, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections
        )
    dataset._sample_collection.update_many({}, {"$set": {GROUND_TRUTH: None}})
    operations = [
        UpdateOne({"_id": sample_object_id(record_id)}, {"$set": {GROUND_TRUTH: _field(boxes)}})
        for record_id, boxes in gold.items()
    ]
    if operations:
        dataset._sample_collection.bulk_write(operations, ordered=False)
    dataset.reload()
    known = dataset.match(F(GROUND_TRUTH) != None)  # noqa: E711 (an expression of FiftyOne)
    if dataset.has_evaluation(EVAL_KEY):
        dataset.delete_evaluation(EVAL_KEY)
    known.evaluate_detections(
        BOXES, gt_field=GROUND_TRUTH, eval_key=EVAL_KEY, iou=iou, classwise=False
    )
    fp, fn = F(EVAL_KEY) == "fp", F(EVAL_KEY) == "fn"
    at_gold = F(f"{EVAL_KEY}_id").is_string() & (F(f"{EVAL_KEY}_id") != "")
    chosen = {
        "misses": (
            GROUND_TRUTH,
            fn & ~at_gold,
            "gold boxes that no label is at",
        ),
        "false positives": (BOXES, fp & ~at_gold, "labels that are at no gold box"),
        "wrong phrases": (BOXES, fp & at_gold, "labels at a gold box of another phrase"),
    }
    counts = {"right": len(_labels(known, BOXES, F(EVAL_KEY) == "tp"))}
    for name, (field, condition, meaning) in chosen.items():
        counts[name] = len(_labels(known, field, condition))
        # Whole samples: a view that hides labels would let Annotate mode delete them.
        view = dataset.match(F(f"{field}.detections").filter(condition).length() > 0)
        dataset.save_view(f"gold: {name}", view, description=meaning, overwrite=True)
    return counts


def _labels(view: Any, field: str, condition: Any) -> list[str]:
    ids = view.filter_labels(field, condition).values(f"{field}.detections.id", unwind=True)
    return list(ids)


def _field(boxes: Sequence[GoldBox]) -> dict[str, Any]:
    return {
        "_cls": "Detections",
        "detections": [
            {
                "_id": ObjectId(),
                "_cls": "Detection",
                "attributes": {},
                "tags": [],
                "label": words,
                "bounding_box": [float(v) for v in place],
            }
            for words, place in boxes
        ],
    }
