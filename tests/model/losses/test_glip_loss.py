from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from model.losses.focal import focal_one, focal_zero
from model.losses.glip_loss import GlipLoss, GroundingTarget, giou_loss
from model.network.box_coder import decode_boxes, encode_boxes, to_half_open
from model.outputs import GlipOutput
from tests.model.unit_tables import unit_arrays


def _levels() -> tuple[tuple[int, int], ...]:
    return tuple((int(h), int(w)) for h, w in unit_arrays()["anchors/grid"])


def _output(num_images: int = 1, num_tokens: int = 12, *, grad: bool = False) -> GlipOutput:
    generator = torch.Generator().manual_seed(0)
    anchors = torch.from_numpy(unit_arrays()["anchors/all"])

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(num_images, len(anchors), *shape, generator=generator)

    logits = normal(num_tokens)
    return GlipOutput(logits.requires_grad_(grad), normal(4).mul(0.1), normal(), anchors, _levels())


def _target(width: int = 12, **changes) -> GroundingTarget:
    boxes = to_half_open(torch.from_numpy(unit_arrays()["atss/gt0"]))
    rows = torch.zeros(len(boxes), width)
    rows[:, 1:3] = 1
    return GroundingTarget(boxes, rows)._replace(**changes)


EMPTY = GroundingTarget(torch.zeros(0, 4), torch.zeros(0, 12))


def test_an_image_without_boxes_teaches_only_words() -> None:
    parts = GlipLoss()(_output(), [EMPTY], torch.ones(1, 12))
    assert float(parts.box) == float(parts.centerness) == 0
    assert float(parts.token) > 0
    assert parts.normalizers.tolist() == [0, 0]


def test_a_map_beyond_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="positive_map_GT marks text positions beyond the 2"):
        GlipLoss()(_output(num_tokens=2), [_target()], torch.ones(1, 2))


def test_a_target_that_does_not_fit_is_named() -> None:
    bad = GroundingTarget(torch.zeros(3, 4), torch.zeros(2, 12))
    with pytest.raises(ValueError, match=r"target 1: boxes \[3, 4\].*\[2, 12\]"):
        GlipLoss()(_output(2), [EMPTY, bad], torch.ones(2, 12))


def test_a_target_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="2 images, 1 targets"):
        GlipLoss()(_output(2), [EMPTY], torch.ones(2, 12))


def test_an_unknown_box_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="giou or smooth_l1, got 'l2'"):
        GlipLoss(box_loss="l2")  # type: ignore[arg-type]


def test_focal_entries_equal_the_reference() -> None:
    arrays = unit_arrays()
    logits = torch.from_numpy(arrays["focal/logits"])
    targets = torch.from_numpy(arrays["focal/targets"]).float()
    loss = focal_zero(logits) * (1 - targets) + focal_one(logits) * targets
    torch.testing.assert_close(loss, torch.from_numpy(arrays["focal/elements"]))


def test_giou_equals_the_reference() -> None:
    arrays = {name: torch.from_numpy(array) for name, array in unit_arrays().items()}
    anchors = arrays["coder/anchors"]
    targets = decode_boxes(encode_boxes(arrays["coder/gt"], anchors), anchors)
    loss = giou_loss(decode_boxes(arrays["giou/pred_deltas"], anchors), targets)
    torch.testing.assert_close(loss.sum()[None], arrays["giou/unweighted_sum"], rtol=1e-5, atol=0)
    torch.testing.assert_close(
        (loss * arrays["giou/weights"]).sum()[None],
        arrays["giou/weighted_sum"],
        rtol=1e-5,
        atol=0,
    )


def test_regression_and_centerness_targets_equal_the_reference() -> None:
    arrays = unit_arrays()
    anchors = torch.from_numpy(arrays["anchors/all"])
    targets = [
        GroundingTarget(
            to_half_open(torch.from_numpy(arrays[f"atss/gt{image}"])),
            torch.zeros(len(arrays[f"atss/gt{image}"]), 256),
        )
        for image in (0, 1)
    ]
    assigned = GlipLoss().assign(anchors, _levels(), targets)
    deltas, centerness = assigned.box_deltas_P4, assigned.centerness_P
    torch.testing.assert_close(
        deltas, torch.from_numpy(arrays["atss/pos_reg"]), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        centerness, torch.from_numpy(arrays["atss/pos_centerness"]), rtol=1e-4, atol=1e-5
    )


def _dense_token_loss(output: GlipOutput, target: GroundingTarget, mask: torch.Tensor):
    """The formula written out for one image, with a dense target matrix."""
    assigned = GlipLoss().assign(output.anchors_N4, output.level_sizes, [target])
    logits = output.logits_BNT[0]
    targets, weights = torch.zeros_like(logits), torch.ones(len(logits), 1)
    if logits.shape[1] == 256:
        targets[:, 255] = 1
    targets[assigned.anchor_index_P] = F.pad(
        assigned.positive_map_PT, (0, logits.shape[1] - assigned.positive_map_PT.shape[1])
    )
    weights[assigned.anchor_index_P, 0] = assigned.weights_P
    p = logits.sigmoid()
    p_target = p * targets + (1 - p) * (1 - targets)
    alpha = 0.25 * targets + 0.75 * (1 - targets)
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (alpha * (1 - p_target) ** 2 * loss * mask * weights).sum() / len(assigned.weights_P)


@pytest.mark.parametrize("num_tokens", [12, 256])
def test_token_loss_and_gradient_equal_the_dense_formula(num_tokens: int) -> None:
    # 256 valid positions: the last one is "no object" for every unmatched anchor.
    output = _output(num_tokens=num_tokens, grad=True)
    target = _target(weights_G=torch.tensor([1.0, 0.5, 0.0, 1.0, 2.0, 1.0]))
    mask = torch.ones(1, num_tokens)
    mask[0, 5] = 0
    loss = GlipLoss()(output, [target], mask).token
    (gradient,) = torch.autograd.grad(loss, output.logits_BNT)
    dense = _dense_token_loss(output, target, mask)
    (dense_gradient,) = torch.autograd.grad(dense, output.logits_BNT)
    torch.testing.assert_close(loss, dense)
    torch.testing.assert_close(gradient, dense_gradient)


def test_a_batch_divided_in_two_has_the_same_loss() -> None:
    output = _output(2)
    targets, mask = [_target(), EMPTY], torch.ones(2, 12)
    loss = GlipLoss()
    whole = loss(output, targets, mask)
    halves = [
        output._replace(
            logits_BNT=output.logits_BNT[i : i + 1],
            box_deltas_BN4=output.box_deltas_BN4[i : i + 1],
            centerness_BN=output.centerness_BN[i : i + 1],
        )
        for i in (0, 1)
    ]
    parts = [
        loss(half, [target], mask[:1], normalizers=whole.normalizers)
        for half, target in zip(halves, targets, strict=True)
    ]
    torch.testing.assert_close(parts[0].total + parts[1].total, whole.total)


def test_an_image_of_weight_zero_changes_nothing() -> None:
    output = _output(2)
    loss = GlipLoss()
    normalizers = torch.tensor([10.0, 5.0])
    both = loss(
        output,
        [_target(), _target(image_weight=0.0)],
        torch.ones(2, 12),
        normalizers=normalizers,
    )
    first = output._replace(
        logits_BNT=output.logits_BNT[:1],
        box_deltas_BN4=output.box_deltas_BN4[:1],
        centerness_BN=output.centerness_BN[:1],
    )
    one = loss(first, [_target()], torch.ones(1, 12), normalizers=normalizers)
    torch.testing.assert_close(both.total, one.total)


def test_half_precision_outputs_are_computed_in_float32() -> None:
    output = _output()
    half = output._replace(
        logits_BNT=output.logits_BNT.bfloat16(),
        box_deltas_BN4=output.box_deltas_BN4.bfloat16(),
        centerness_BN=output.centerness_BN.bfloat16(),
    )
    parts = GlipLoss()(half, [_target()], torch.ones(1, 12))
    assert parts.total.dtype == torch.float32
    torch.testing.assert_close(
        parts.total, GlipLoss()(output, [_target()], torch.ones(1, 12)).total, rtol=2e-2, atol=0
    )


def test_smooth_l1_is_zero_at_the_targets() -> None:
    loss = GlipLoss(box_loss="smooth_l1")
    output = _output()
    assigned = loss.assign(output.anchors_N4, output.level_sizes, [_target()])
    deltas = output.box_deltas_BN4.clone()
    deltas[0, assigned.anchor_index_P] = assigned.box_deltas_P4
    perfect = output._replace(box_deltas_BN4=deltas)
    assert float(loss(perfect, [_target()], torch.ones(1, 12)).box) == 0
    assert float(loss(output, [_target()], torch.ones(1, 12)).box) > 0
