from __future__ import annotations

import pytest
import torch

from model.losses.assigner import assign_boxes
from tests.model.unit_tables import unit_arrays


def _levels() -> list[tuple[int, int]]:
    return [(int(h), int(w)) for h, w in unit_arrays()["anchors/grid"]]


def _anchors() -> torch.Tensor:
    return torch.from_numpy(unit_arrays()["anchors/all"])


def test_no_box_matches_nothing() -> None:
    matches = assign_boxes(torch.zeros(0, 4), _anchors(), _levels())
    assert matches.anchor_index_P.shape == (0,)


def test_levels_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="1160 anchors, but the levels have 6 positions"):
        assign_boxes(torch.zeros(1, 4), _anchors(), [(2, 3)])


def test_a_box_outside_of_every_anchor_matches_nothing() -> None:
    matches = assign_boxes(torch.tensor([[9e3, 9e3, 9.1e3, 9.1e3]]), _anchors(), _levels())
    assert len(matches.anchor_index_P) == 0


def test_a_level_with_fewer_positions_than_candidates() -> None:
    anchors = torch.tensor([[0.0, 0.0, 63.0, 63.0], [8.0, 0.0, 71.0, 63.0]])
    matches = assign_boxes(torch.tensor([[0.0, 0.0, 63.0, 63.0]]), anchors, [(1, 2)])
    assert set(matches.anchor_index_P.tolist()) <= {0, 1}


def test_positives_equal_the_reference() -> None:
    arrays = unit_arrays()
    found = []
    for image in (0, 1):
        boxes = torch.from_numpy(arrays[f"atss/gt{image}"])
        matches = assign_boxes(boxes, _anchors(), _levels())
        found += [[image, anchor] for anchor in matches.anchor_index_P.tolist()]
        offset = 0 if image == 0 else len(arrays["atss/gt0"])
        rows = arrays["atss/positive_map"][offset : offset + len(boxes)]
        expected = arrays["atss/pos_token_labels"][arrays["atss/pos_index"][:, 0] == image]
        assert (rows[matches.box_index_P.numpy()] > 0).tolist() == (expected > 0).tolist()
    assert found == arrays["atss/pos_index"].tolist()


def test_a_batch_matches_as_its_images_do_alone() -> None:
    arrays = unit_arrays()
    images = [torch.from_numpy(arrays["atss/gt0"]), torch.zeros(0, 4)]
    images += [torch.from_numpy(arrays["atss/gt1"]), torch.from_numpy(arrays["atss/gt0"])]
    counts = torch.tensor([len(boxes) for boxes in images])
    together = assign_boxes(
        torch.cat(images),
        _anchors(),
        _levels(),
        image_of_box_G=torch.arange(len(images)).repeat_interleave(counts),
    )
    first_box = 0
    for number, boxes in enumerate(images):
        alone = assign_boxes(boxes, _anchors(), _levels())
        here = together.image_index_P == number
        assert torch.equal(together.anchor_index_P[here], alone.anchor_index_P)
        assert torch.equal(together.box_index_P[here], alone.box_index_P + first_box)
        first_box += len(boxes)


def test_the_first_of_two_equal_boxes_gets_the_anchors() -> None:
    box = torch.from_numpy(unit_arrays()["atss/gt0"])[:1]
    matches = assign_boxes(box.repeat(3, 1), _anchors(), _levels())
    assert len(matches.box_index_P) > 0
    assert set(matches.box_index_P.tolist()) == {0}
