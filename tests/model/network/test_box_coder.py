from __future__ import annotations

import torch

from model.network.box_coder import (
    MAX_LOG_SCALE,
    clip_inclusive,
    decode_boxes,
    encode_boxes,
    to_half_open,
    to_inclusive,
)
from schemas.boxes import pairwise_iou
from tests.model.unit_tables import unit_arrays


def _tensor(name: str) -> torch.Tensor:
    return torch.from_numpy(unit_arrays()[name])


def test_no_boxes_stay_no_boxes() -> None:
    empty = torch.zeros(0, 4)
    assert decode_boxes(empty, empty).shape == (0, 4)
    assert encode_boxes(empty, empty).shape == (0, 4)


def test_encoding_equals_the_reference() -> None:
    encoded = encode_boxes(_tensor("coder/gt"), _tensor("coder/anchors"))
    torch.testing.assert_close(encoded, _tensor("coder/encoded"), rtol=1e-5, atol=1e-5)


def test_decoding_equals_the_reference() -> None:
    decoded = decode_boxes(_tensor("coder/deltas"), _tensor("coder/anchors"))
    torch.testing.assert_close(decoded, _tensor("coder/decoded"), rtol=1e-5, atol=1e-3)


def test_decoding_undoes_encoding() -> None:
    boxes, anchors = _tensor("coder/gt"), _tensor("coder/anchors")
    deltas = encode_boxes(boxes, anchors)
    uncapped = (deltas[:, 2:] / 5 < MAX_LOG_SCALE).all(1)
    torch.testing.assert_close(
        decode_boxes(deltas, anchors)[uncapped], boxes[uncapped], rtol=1e-4, atol=1e-2
    )


def test_a_huge_delta_is_capped() -> None:
    anchor = torch.tensor([[0.0, 0.0, 15.0, 15.0]])
    box = decode_boxes(torch.tensor([[0.0, 0.0, 1e6, 1e6]]), anchor)
    torch.testing.assert_close(box[0, 2] - box[0, 0] + 1, torch.tensor(1000.0))


def test_iou_equals_the_reference() -> None:
    # The table's boxes are the first of the coder's table.
    expected = _tensor("iou/plus_one")
    rows, columns = expected.shape
    boxes = to_half_open(_tensor("coder/gt")[:rows]).numpy()
    anchors = to_half_open(_tensor("coder/anchors")[:columns]).numpy()
    found = torch.from_numpy(pairwise_iou(boxes, anchors)).float()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_clipping_ends_at_the_last_pixel() -> None:
    boxes = torch.tensor([[-5.0, -5.0, 200.0, 20.0], [90.0, 40.0, 150.0, 90.0]])
    clipped = clip_inclusive(boxes, torch.tensor([50, 100]))
    torch.testing.assert_close(clipped, _tensor("boxlist/clipped"))


def test_the_two_conventions_are_one_pixel_apart() -> None:
    box = torch.tensor([[3.0, 4.0, 9.0, 10.0]])
    assert to_half_open(box).tolist() == [[3.0, 4.0, 10.0, 11.0]]
    torch.testing.assert_close(to_inclusive(to_half_open(box)), box)
