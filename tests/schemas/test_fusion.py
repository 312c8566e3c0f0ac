"""Weighted box fusion, against what the authors' package gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from schemas.fusion import fuse_boxes

GOLDEN = Path(__file__).parents[1] / "golden" / "weighted_boxes_fusion.json"


def test_the_arithmetic_is_that_of_ensemble_boxes() -> None:
    """Written by ensemble-boxes 1.0.9, in float32; the file says how."""
    cases = json.loads(GOLDEN.read_text())["cases"]
    assert len(cases) == 30
    for case in cases:
        boxes = [np.array(part).reshape(-1, 4) for part in case["boxes"]]
        found = fuse_boxes(boxes, [np.array(part) for part in case["scores"]])
        wanted = np.array(case["fused"]).reshape(-1, 4)
        assert found.xyxy.shape == wanted.shape
        assert np.allclose(found.score, case["fused_scores"], atol=1e-5)
        assert np.allclose(found.xyxy, wanted, atol=1e-5)


def test_each_box_keeps_who_proposed_it() -> None:
    one, other = np.array([[0, 0, 10, 10], [50, 50, 60, 60]]), np.array([[1, 0, 11, 10]])
    found = fuse_boxes([one, other], [np.array([0.6, 0.5]), np.array([0.2])])
    assert found.members == ((0, 1), (0,))
    assert np.allclose(found.score, [0.4, 0.25])
    assert np.allclose(found.xyxy[0], [0.25, 0, 10.25, 10])


def test_no_boxes_at_all() -> None:
    found = fuse_boxes([np.zeros((0, 4))] * 2, [np.zeros(0)] * 2)
    assert found.xyxy.shape == (0, 4)
    assert found.members == ()
