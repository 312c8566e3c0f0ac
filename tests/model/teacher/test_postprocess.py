from __future__ import annotations

import json

import pytest
import torch
import torchvision

from model.inputs.prompts import positive_map
from model.network.box_coder import encode_boxes, to_half_open
from model.outputs import GlipOutput
from model.teacher.nms import nms_by_class
from model.teacher.options import PostprocessOptions
from model.teacher.postprocess import label_scores, postprocess
from tests.model.unit_tables import unit_arrays

LEVELS = ((4, 4), (2, 2))
ANCHORS = torch.tensor(
    [[x * 8.0, y * 8.0, x * 8.0 + 7, y * 8.0 + 7] for y in range(4) for x in range(4)]
    + [[x * 16.0, y * 16.0, x * 16.0 + 15, y * 16.0 + 15] for y in range(2) for x in range(2)]
)
SIZE = torch.tensor([[32, 32]])


def _output(num_images: int = 1, num_tokens: int = 6) -> GlipOutput:
    """Nothing anywhere; anchors are the boxes."""
    return GlipOutput(
        torch.full((num_images, 20, num_tokens), -9.0),
        torch.zeros(num_images, 20, 4),
        torch.full((num_images, 20), 9.0),
        ANCHORS,
        LEVELS,
    )


def _map() -> torch.Tensor:
    return positive_map([(1,), (3, 4)], 6)


# --- suppression ---------------------------------------------------------------------------------


def test_nothing_is_kept_of_nothing() -> None:
    empty = torch.zeros(0)
    assert nms_by_class(torch.zeros(0, 4), empty, empty.long(), 0.6).shape == (0,)


def test_suppression_equals_the_reference_kernel() -> None:
    arrays = {name: torch.from_numpy(array) for name, array in unit_arrays().items()}
    keep = nms_by_class(arrays["nms/boxes"], arrays["nms/scores"], arrays["nms/labels"], 0.6)
    assert sorted(keep.tolist()) == sorted(arrays["nms/keep_cuda_0.6"].tolist())
    assert (arrays["nms/scores"][keep].diff() <= 0).all()


def test_boxes_of_two_labels_never_meet() -> None:
    box = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(3, 1)
    keep = nms_by_class(box, torch.tensor([0.5, 0.9, 0.7]), torch.tensor([0, 0, 1]), 0.6)
    assert keep.tolist() == [1, 2]


def test_an_overlap_equal_to_the_threshold_stays() -> None:
    # Areas with the last pixel: 10 x 1 and 5 x 1, IoU exactly one half.
    boxes = torch.tensor([[0.0, 0.0, 9.0, 0.0], [0.0, 0.0, 4.0, 0.0]])
    labels = torch.zeros(2, dtype=torch.int64)
    assert len(nms_by_class(boxes, torch.tensor([0.9, 0.8]), labels, 0.5)) == 2
    assert len(nms_by_class(boxes, torch.tensor([0.9, 0.8]), labels, 0.49)) == 1


@pytest.mark.parametrize(("count", "num_labels", "side"), [(1, 1, 9), (40, 3, 60), (1500, 5, 900)])
def test_the_cpus_own_suppression_is_torchvisions(count: int, num_labels: int, side: int) -> None:
    torch.manual_seed(count)
    low = torch.rand(count, 2) * side
    boxes = torch.cat([low, low + torch.rand(count, 2) * 60], 1).round()
    scores = (torch.rand(count) * 50).round() / 50  # with ties
    labels = torch.randint(num_labels, (count,))
    want = torchvision.ops.batched_nms(to_half_open(boxes), scores, labels, 0.6)
    got = nms_by_class(boxes, scores, labels, 0.6)
    assert sorted(got.tolist()) == sorted(want.tolist())
    assert (scores[got].diff() <= 0).all()
    best = [
        place
        for number, place in enumerate(got.tolist())
        if (labels[got[:number]] == labels[place]).sum() < 7
    ]
    limited = nms_by_class(boxes, scores, labels, 0.6, limit=7).tolist()
    assert [place for place in limited if place in best] == best


# --- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("aggregation", ["mean", "max", "power"])
def test_a_label_without_positions_scores_nothing(aggregation) -> None:
    maps = positive_map([(), (1,)], 6)[None]
    scores = label_scores(torch.zeros(1, 20, 6), maps, aggregation)
    assert scores[0, :, 0].tolist() == [0.0] * 20
    torch.testing.assert_close(scores[0, :, 1], torch.full((20,), 0.5))


@pytest.mark.parametrize("aggregation", ["mean", "power"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_are_float32_under_autocast(dtype, aggregation) -> None:
    """Rounded they would be equal where they are near, and boxes would be ranked by place."""
    logits = torch.linspace(0.0, 0.1, 500)[None, :, None].expand(1, 500, 6)
    maps = torch.ones(1, 1, 6)
    want = label_scores(logits, maps, aggregation)
    with torch.autocast("cpu", dtype):
        scores = label_scores(logits, maps, aggregation)
    assert torch.equal(scores, want)
    assert len(scores.unique()) > 490


def test_an_unknown_aggregation_is_refused() -> None:
    with pytest.raises(ValueError, match="mean, max or power, got 'median'"):
        label_scores(torch.zeros(1, 1, 6), _map()[None], "median")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name, aggregation",
    [
        ("v1_MEAN", "mean"),
        ("v1_MAX", "max"),
        ("v2_MEAN", "mean"),
        ("v2_MAX", "max"),
        ("v2_POWER", "power"),
    ],
)
def test_scores_equal_the_reference(name: str, aggregation) -> None:
    arrays = unit_arrays()
    expected = torch.from_numpy(arrays[f"scores/{name}"])
    tokens = json.loads(bytes(arrays["scores/map"]))
    rows = [tokens.get(str(label + 1), ()) for label in range(expected.shape[1])]
    logits = torch.logit(torch.from_numpy(arrays["scores/prob"]).double())
    scores = label_scores(logits[None], positive_map(rows, 256)[None], aggregation)[0]
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-6)


# --- boxes ---------------------------------------------------------------------------------------


def test_an_image_without_labels_has_no_boxes() -> None:
    (found,) = postprocess(_output(), [torch.zeros(0, 6)], SIZE)
    assert found.boxes_inclusive_K4.shape == (0, 4)
    assert found.best_scores_L.shape == (0,)


def test_nothing_found_still_has_best_scores() -> None:
    (found,) = postprocess(_output(), [_map()], SIZE)
    assert len(found.scores_K) == 0
    expected = torch.tensor(-9.0).sigmoid().mul(torch.tensor(9.0).sigmoid()).sqrt()
    torch.testing.assert_close(found.best_scores_L, expected.expand(2))


def test_a_label_beyond_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="image 0: a label stands beyond the 2 text positions"):
        postprocess(_output(num_tokens=2), [_map()], SIZE)


def test_a_box_carries_its_label_and_scores() -> None:
    output = _output()
    output.logits_BNT[0, 5, 3:5] = torch.tensor([2.0, 0.0])
    output.centerness_BN[0, 5] = 1.0
    (found,) = postprocess(output, [_map()], SIZE)
    assert found.labels_K.tolist() == [1]
    token = torch.tensor([2.0, 0.0]).sigmoid().mean()
    center = torch.tensor(1.0).sigmoid()
    torch.testing.assert_close(found.token_scores_K, token[None])
    torch.testing.assert_close(found.centerness_K, center[None])
    torch.testing.assert_close(found.scores_K, (token * center).sqrt()[None])
    torch.testing.assert_close(found.boxes_inclusive_K4, ANCHORS[5:6])
    torch.testing.assert_close(found.best_scores_L[1], found.scores_K[0])


def test_the_token_threshold_comes_before_centerness() -> None:
    output = _output()
    output.logits_BNT[0, 0, 1] = torch.logit(torch.tensor(0.06))
    output.logits_BNT[0, 1, 1] = torch.logit(torch.tensor(0.04))
    output.centerness_BN[0, 0] = -6.0
    (found,) = postprocess(output, [_map()], SIZE)
    assert found.boxes_inclusive_K4.tolist() == [ANCHORS[0].tolist()]
    (floored,) = postprocess(output, [_map()], SIZE, PostprocessOptions(score_floor=0.1))
    assert len(floored.scores_K) == 0
    assert float(floored.best_scores_L[0]) > 0.1  # of the position below the token threshold


def test_boxes_end_at_the_unpadded_image() -> None:
    output = _output()
    output.logits_BNT[0, 15, 1] = 3.0
    output.box_deltas_BN4[0, 15] = encode_boxes(torch.tensor([20.0, 20.0, 60.0, 60.0]), ANCHORS[15])
    (found,) = postprocess(output, [_map()], torch.tensor([[30, 28]]))
    torch.testing.assert_close(
        found.boxes_inclusive_K4, torch.tensor([[20.0, 20.0, 27.0, 29.0]]), rtol=0, atol=1e-3
    )


def test_each_level_has_its_own_limit() -> None:
    output = _output()
    output.logits_BNT[0, :, 1] = torch.linspace(1, 2, 20)
    (found,) = postprocess(output, [_map()], SIZE, PostprocessOptions(max_per_level=2))
    boxes = found.boxes_inclusive_K4.tolist()
    assert boxes == [ANCHORS[n].tolist() for n in (19, 18, 15, 14)]


def test_ties_with_the_last_place_stay() -> None:
    output = _output()
    output.logits_BNT[0, :16, 1] = 1.0
    output.logits_BNT[0, 3, 1] = 2.0
    (found,) = postprocess(output, [_map()], SIZE, PostprocessOptions(max_per_image=5))
    assert len(found.scores_K) == 16
    (found,) = postprocess(output, [_map()], SIZE, PostprocessOptions(max_per_image=1))
    assert found.boxes_inclusive_K4.tolist() == [ANCHORS[3].tolist()]


def test_each_label_has_its_own_limit() -> None:
    output = _output()
    output.logits_BNT[0, :16, 1] = torch.linspace(1, 2, 16)
    output.logits_BNT[0, 0, 3:5] = 0.5
    (found,) = postprocess(output, [_map()], SIZE, PostprocessOptions(max_per_label=3))
    assert found.labels_K.tolist() == [0, 0, 0, 1]


def test_images_of_a_batch_have_their_own_labels() -> None:
    output = _output(2)
    output.logits_BNT[0, 2, 1] = 3.0
    output.logits_BNT[1, 7, 5] = 3.0
    maps = [_map(), positive_map([(1,), (2,), (5,)], 256)]
    first, second = postprocess(output, maps, SIZE.repeat(2, 1))
    assert (first.labels_K.tolist(), len(first.best_scores_L)) == ([0], 2)
    assert (second.labels_K.tolist(), len(second.best_scores_L)) == ([2], 3)
    torch.testing.assert_close(second.boxes_inclusive_K4, ANCHORS[7:8])
