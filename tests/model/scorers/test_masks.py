"""SAM: a mask for each box, as COCO's tools read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as run_lengths

from model.scorers.load import load_scorer
from schemas.layer import LayerRequest
from tests.model.scorers.tiny_scorers import write_scorer

BOXES = np.array([[4, 6, 24, 30], [36, 10, 60, 40], [0, 0, 64, 48]], np.float32)


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_every_box_has_a_mask_of_the_images_size(kind: str, tmp_path: Path) -> None:
    folder = write_scorer(kind, tmp_path)
    scorer = load_scorer(folder, device=torch.device("cpu"), batch_size=4)
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    many = np.concatenate([BOXES] * 7)
    requests = [
        LayerRequest(image=image, caption="", boxes=boxes, phrases=("x",) * len(boxes))
        for boxes in (BOXES, BOXES[:0], many)
    ]
    found, none, more = (answer["masks"] for answer in scorer.score(requests, ("masks",)))
    for counts, area in zip(found["counts"], found["area"], strict=True):
        mask = run_lengths.decode({"size": [48, 64], "counts": counts})
        assert mask.shape == (48, 64)
        assert int(mask.sum()) == area
    assert none == {"counts": [], "area": [], "iou_score": []}
    assert [len(values) for values in more.values()] == [21, 21, 21]
    assert max(abs(a - b) for a, b in zip(more["area"][:3], found["area"], strict=True)) <= 2
