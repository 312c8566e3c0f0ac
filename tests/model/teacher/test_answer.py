"""One prompt's answer, as it leaves the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.teacher.answer import AnswerParts
from model.teacher.postprocess import Detections


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_labels_are_exact_whatever_number_format_the_scores_have(dtype: torch.dtype) -> None:
    labels = torch.tensor([0, 257, 1202, 40_001])
    scores = torch.tensor([0.5, 0.25, 0.125, 0.75], dtype=dtype)
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).repeat(4, 1)
    found = Detections(boxes, labels, scores, scores, scores, scores)
    parts = AnswerParts.of(found, np.arange(50_000))
    assert parts.phrase_index.tolist() == labels.tolist()
    assert parts.score.dtype == np.float32
    assert parts.score.tolist() == [0.5, 0.25, 0.125, 0.75]
    assert parts.xyxy[0].tolist() == [1.0, 2.0, 4.0, 5.0]
