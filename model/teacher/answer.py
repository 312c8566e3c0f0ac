"""A teacher's answers put together: one image, one or several prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.network.box_coder import to_half_open
from model.teacher.postprocess import Detections
from schemas.errors import RecordError
from schemas.grounder import Grounding
from schemas.records import PhraseStatus, Status


class AnswerParts(NamedTuple):
    """What one prompt found in one image, on the CPU.

    xyxy: float64 [K, 4], half-open pixels of the original image, maybe a little outside.
    phrase_index, score, token_score, centerness: [K].
    asked, best_score: [phrases of the prompt].
    """

    xyxy: NDArray[np.float64]
    phrase_index: NDArray[np.int64]
    score: NDArray[np.float32]
    token_score: NDArray[np.float32]
    centerness: NDArray[np.float32]
    asked: NDArray[np.int64]
    best_score: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        found: Detections,
        targets: NDArray[np.int64],
        ratios: tuple[float, float] = (1.0, 1.0),
    ) -> AnswerParts:
        """Network results in the caller's phrases and the original image's pixels.

        Args:
            found: labels count in the prompt's targets.
            targets: the caller's index of each of the prompt's targets.
            ratios: horizontal and vertical ratio of the boxes' frame / original image.
        """
        numbers = (found.labels_K, found.scores_K, found.token_scores_K, found.centerness_K)
        boxes_K4 = to_half_open(found.boxes_inclusive_K4).double()
        # One copy for all: a GPU is waited for at each.
        columns_K4 = torch.stack([part.double() for part in numbers], dim=1)
        columns = torch.cat([boxes_K4, columns_K4], dim=1).cpu().numpy()
        label, *scores = columns[:, 4:].T
        score, token_score, centerness = (column.astype(np.float32) for column in scores)
        return cls(
            columns[:, :4] / np.asarray(ratios * 2),
            targets[label.astype(np.int64)],
            score,
            token_score,
            centerness,
            targets,
            found.best_scores_L.float().cpu().numpy(),
        )


def combine(
    parts: Sequence[AnswerParts],
    *,
    image: NDArray[np.uint8],
    statuses: Sequence[PhraseStatus],
    not_seen: Sequence[int],
) -> Grounding:
    """One answer from those of all prompts.

    Args:
        parts: of disjoint sets of phrases; none for a caption without phrases.
        image: boxes are clipped to it; those without area there go.
        statuses: of the phrases, as asked.
        not_seen: phrases that no prompt could hold; they become TRUNCATED.

    Raises:
        RecordError: a score or a box is NaN or infinite. Comparisons with NaN are false, so that
            without this check such boxes would vanish like boxes outside of the image.
    """
    for part in parts:
        for name in ("best_score", "score", "token_score", "centerness", "xyxy"):
            if not np.isfinite(getattr(part, name)).all():
                what = "a box" if name == "xyxy" else f"a {name.replace('_', ' ')}"
                raise RecordError(
                    Status.TEACHER_FAILED, f"the network's answer has {what} of NaN or infinity"
                )
    height, width = image.shape[:2]
    status = list(statuses)
    for index in not_seen:
        status[index] = PhraseStatus.TRUNCATED
    best = np.zeros(len(status), np.float32)
    for part in parts:
        best[part.asked] = part.best_score

    def joined(name: str, empty: NDArray) -> NDArray:
        return np.concatenate([empty, *(getattr(part, name) for part in parts)])

    floats = np.zeros(0, np.float32)
    xyxy = joined("xyxy", np.zeros((0, 4))).astype(np.float32)
    xyxy = xyxy.clip(0, np.asarray([width, height] * 2, np.float32))
    score = joined("score", floats)
    phrase_index = joined("phrase_index", np.zeros(0, np.int64))
    # Equal scores in the order of their phrases and places: the same answer in any batch.
    order = np.lexsort((*xyxy.T[::-1], phrase_index, -score))
    order = order[(xyxy[order, 2:] > xyxy[order, :2]).all(1)]
    return Grounding(
        xyxy=xyxy[order],
        phrase_index=phrase_index[order],
        score=score[order],
        token_score=joined("token_score", floats)[order],
        centerness=joined("centerness", floats)[order],
        phrase_best_score=best,
        phrase_status=tuple(status),
    )
