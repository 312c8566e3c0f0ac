"""How far an answer in another precision is from the recorded one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.teacher.postprocess import Detections
from tests.parity.fixture import Fixture

SAME_BOX_PX = 8.0
"""A recorded box counts as found again if one of its label is so near with every side."""


class Agreement(NamedTuple):
    """One image.

    found_share: recorded boxes that were found again, each by another.
    shift_px: median over them of the largest move of a side, in network-input pixels.
    score_difference: the largest over them.
    """

    found_share: float
    shift_px: float
    score_difference: float


def compare_answers(
    fixture: Fixture, image: int, found: Detections, *, tag: str = "mean"
) -> Agreement:
    """The recorded detections of an image against ours, best score first."""
    name = f"det/{image}/{tag}"
    boxes, scores, labels = (
        fixture.arrays[f"{name}/{part}"] for part in ("boxes_net", "scores", "labels")
    )
    got_boxes = found.boxes_inclusive_K4.float().cpu().numpy()
    got_scores = found.scores_K.float().cpu().numpy()
    got_labels = found.labels_K.cpu().numpy() + 1
    free = np.ones(len(got_scores), bool)
    shifts, differences = [], []
    for box, score, label in zip(boxes, scores, labels, strict=True):
        distance = np.abs(got_boxes - box).max(1, initial=0.0)
        distance[~free | (got_labels != label)] = np.inf
        if len(distance) == 0 or distance.min() > SAME_BOX_PX:
            continue
        nearest = int(distance.argmin())
        free[nearest] = False
        shifts.append(float(distance[nearest]))
        differences.append(abs(float(got_scores[nearest] - score)))
    if not shifts:
        return Agreement(float(len(scores) == 0), 0.0, 0.0)
    return Agreement(len(shifts) / len(scores), float(np.median(shifts)), max(differences))
