"""What the network is trained on: words for positions, boxes, and how centred a position is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.assigner import Matches, assign_boxes
from model.box_coder import box_centers, decode_boxes, encode_boxes, to_inclusive
from model.focal import focal_one, focal_zero, focal_zero_sum
from model.outputs import GlipOutput

NO_OBJECT_POSITION = 255
BOX_LOSS_WEIGHT = 2.0
SMOOTH_L1_BETA = 1.0 / 9.0

BoxLoss = Literal["giou", "smooth_l1"]


class GroundingTarget(NamedTuple):
    """What one image should teach.

    boxes_G4: half-open xyxy in network-input pixels (after the resize), float32.
    positive_map_GT: 1 on the text positions that name the box, else 0. T may differ from the
        batch's text length as long as no 1 stands beyond it.
    weights_G: how much each box counts, or None for 1.
    image_weight: how much the image's three losses count.
    """

    boxes_G4: Tensor
    positive_map_GT: Tensor
    weights_G: Tensor | None = None
    image_weight: float = 1.0

    def to(self, device: torch.device | str) -> GroundingTarget:
        """The same target on `device`."""
        return GroundingTarget(
            self.boxes_G4.to(device),
            self.positive_map_GT.to(device),
            None if self.weights_G is None else self.weights_G.to(device),
            self.image_weight,
        )


class LossParts(NamedTuple):
    """Scalars, weighted and normalised: `total` is what to differentiate.

    normalizers: [2], number of positives and sum of their centerness targets in THIS batch.
    """

    token: Tensor
    box: Tensor
    centerness: Tensor
    normalizers: Tensor

    @property
    def total(self) -> Tensor:
        """The plain sum of the three parts."""
        return self.token + self.box + self.centerness

    def named(self) -> dict[str, Tensor]:
        """The parts by name."""
        return {"token": self.token, "box": self.box, "centerness": self.centerness}


class AssignedTarget(NamedTuple):
    """The positives of one image with what each must predict."""

    anchor_index_P: Tensor
    positive_map_PT: Tensor
    box_deltas_P4: Tensor
    centerness_P: Tensor
    weights_P: Tensor
    image_weight: float


class GlipLoss:
    """The reference's three losses, in float32 whatever the network computed in.

    Args:
        box_loss: `giou` as the released models were trained, or `smooth_l1` on the offsets.
        candidates_per_level: of the ATSS assigner.
    """

    def __init__(self, *, box_loss: BoxLoss = "giou", candidates_per_level: int = 9) -> None:
        if box_loss not in ("giou", "smooth_l1"):
            raise ValueError(f"box_loss must be giou or smooth_l1, got {box_loss!r}")
        self.box_loss = box_loss
        self.candidates_per_level = candidates_per_level

    def assign(
        self,
        anchors_N4: Tensor,
        level_sizes: Sequence[tuple[int, int]],
        targets: Sequence[GroundingTarget],
    ) -> list[AssignedTarget]:
        """The positives of every image; depends on the boxes and the grid alone.

        Raises:
            ValueError: a target's tensors do not fit together.
        """
        return [
            self._assign_one(anchors_N4, level_sizes, target, number)
            for number, target in enumerate(targets)
        ]

    @staticmethod
    def normalizers(assigned: Sequence[AssignedTarget]) -> Tensor:
        """[2]: number of positives, sum of their centerness targets.

        Sum over workers and micro-batches and pass the result to the call: the step's loss is
        then the same however the batch was divided.
        """
        return torch.stack(
            [
                torch.stack(
                    [
                        target.centerness_P.new_tensor(float(len(target.centerness_P))),
                        target.centerness_P.sum(),
                    ]
                )
                for target in assigned
            ]
        ).sum(0)

    def __call__(
        self,
        output: GlipOutput,
        targets: Sequence[GroundingTarget],
        text_mask_BT: Tensor,
        *,
        normalizers: Tensor | None = None,
        assigned: Sequence[AssignedTarget] | None = None,
    ) -> LossParts:
        """Losses of a batch.

        Args:
            output: of the network, with its gradient.
            targets: one per image.
            text_mask_BT: 1 on the text positions that count; a caller may take out words about
                which nothing is known.
            normalizers: [2], over all workers and micro-batches; None: this batch alone.
            assigned: of `assign` for the same targets, to save the work.

        Raises:
            ValueError: the numbers of images differ, or a target does not fit.
        """
        num_images, _, num_tokens = output.logits_BNT.shape
        if len(targets) != num_images or len(text_mask_BT) != num_images:
            raise ValueError(
                f"{num_images} images, {len(targets)} targets, {len(text_mask_BT)} text masks"
            )
        with torch.autocast(output.logits_BNT.device.type, enabled=False):
            if assigned is None:
                assigned = self.assign(output.anchors_N4, output.level_sizes, targets)
            own = self.normalizers(assigned)
            num_positives, centerness_sum = (own if normalizers is None else normalizers).unbind()
            mask_BT = _fit_width(text_mask_BT.float(), num_tokens, "text_mask_BT")
            logits_BNT = output.logits_BNT.float()
            image_weight_B = mask_BT.new_tensor([target.image_weight for target in assigned])
            token = focal_zero_sum(logits_BNT, mask_BT * image_weight_B[:, None])
            box = centerness = logits_BNT.new_zeros(())
            for number, target in enumerate(assigned):
                anchor = target.anchor_index_P
                token = token + self._token_correction(logits_BNT[number], mask_BT[number], target)
                weights_P = target.weights_P * target.image_weight
                deltas_P4 = output.box_deltas_BN4[number, anchor].float()
                anchors_P4 = output.anchors_N4[anchor].float()
                loss_P = self._box_loss(deltas_P4, target.box_deltas_P4, anchors_P4)
                box = box + (loss_P * target.centerness_P * weights_P).sum()
                centerness = (
                    centerness
                    + (
                        F.binary_cross_entropy_with_logits(
                            output.centerness_BN[number, anchor].float(),
                            target.centerness_P,
                            reduction="none",
                        )
                        * weights_P
                    ).sum()
                )
            num_positives = num_positives.clamp(min=1)
            return LossParts(
                token=token / num_positives,
                box=BOX_LOSS_WEIGHT * box / centerness_sum.clamp(min=1e-6),
                centerness=centerness / num_positives,
                normalizers=own,
            )

    def _assign_one(
        self,
        anchors_N4: Tensor,
        level_sizes: Sequence[tuple[int, int]],
        target: GroundingTarget,
        number: int,
    ) -> AssignedTarget:
        boxes = to_inclusive(target.boxes_G4.float())
        if boxes.ndim != 2 or len(target.positive_map_GT) != len(boxes):
            raise ValueError(
                f"target {number}: boxes {list(boxes.shape)} do not fit a positive map of "
                f"{list(target.positive_map_GT.shape)}"
            )
        matches: Matches = assign_boxes(
            boxes, anchors_N4, level_sizes, candidates_per_level=self.candidates_per_level
        )
        anchors_P4 = anchors_N4[matches.anchor_index_P].float()
        deltas_P4 = encode_boxes(boxes[matches.box_index_P], anchors_P4)
        weights_G = (
            boxes.new_ones(len(boxes)) if target.weights_G is None else target.weights_G.float()
        )
        return AssignedTarget(
            anchor_index_P=matches.anchor_index_P,
            positive_map_PT=target.positive_map_GT[matches.box_index_P].float(),
            box_deltas_P4=deltas_P4,
            centerness_P=_centerness(decode_boxes(deltas_P4, anchors_P4), anchors_P4),
            weights_P=weights_G[matches.box_index_P],
            image_weight=target.image_weight,
        )

    def _token_correction(
        self, logits_NT: Tensor, mask_T: Tensor, target: AssignedTarget
    ) -> Tensor:
        """What to add to "every target is 0" for the entries whose target is 1."""
        num_anchors, num_tokens = logits_NT.shape
        anchor = target.anchor_index_P
        map_PT = _fit_width(target.positive_map_PT, num_tokens, "positive_map_GT")
        rows = logits_NT[anchor]
        zeros, ones = focal_zero(rows), focal_one(rows)
        # A box's weight covers its whole row, so the zeros of the row are corrected too.
        row_loss = zeros + (ones - zeros) * map_PT
        correction = ((row_loss * target.weights_P[:, None] - zeros) * mask_T).sum()
        if num_tokens > NO_OBJECT_POSITION and bool(mask_T[NO_OBJECT_POSITION] > 0):
            # A caption that fills all 256 positions: unmatched anchors aim at the last one.
            unmatched = torch.ones(num_anchors, dtype=torch.bool, device=anchor.device)
            unmatched[anchor] = False
            last = logits_NT[unmatched, NO_OBJECT_POSITION]
            correction = correction + (focal_one(last) - focal_zero(last)).sum()
        return correction * target.image_weight

    def _box_loss(self, deltas_P4: Tensor, target_P4: Tensor, anchors_P4: Tensor) -> Tensor:
        if self.box_loss == "smooth_l1":
            loss = F.smooth_l1_loss(deltas_P4, target_P4, reduction="none", beta=SMOOTH_L1_BETA)
            return loss.sum(-1)
        return giou_loss(decode_boxes(deltas_P4, anchors_P4), decode_boxes(target_P4, anchors_P4))


def giou_loss(boxes_P4: Tensor, target_P4: Tensor) -> Tensor:
    """1 - generalised IoU of each pair [P], without +1 areas (Rezatofighi et al. 2019)."""
    low, high = boxes_P4[:, :2], torch.maximum(boxes_P4[:, :2], boxes_P4[:, 2:])
    target_low, target_high = target_P4[:, :2], target_P4[:, 2:]
    sides = torch.minimum(high, target_high) - torch.maximum(low, target_low)
    intersection = sides.prod(-1) * (sides > 0).all(-1)
    area = (high - low).prod(-1) + (target_high - target_low).prod(-1)
    union = area - intersection + 1e-7
    hull = (torch.maximum(high, target_high) - torch.minimum(low, target_low)).prod(-1) + 1e-7
    return 1 - (intersection / union - (hull - union) / hull)


def _centerness(boxes_P4: Tensor, anchors_P4: Tensor) -> Tensor:
    """sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)) from the anchors' centres [P]."""
    centers = box_centers(anchors_P4)
    before, after = centers - boxes_P4[:, :2], boxes_P4[:, 2:] - centers
    return (torch.minimum(before, after) / torch.maximum(before, after)).prod(-1).sqrt()


def _fit_width(rows: Tensor, width: int, name: str) -> Tensor:
    """Rows [.., T] cut or zero-padded to the text length of the output.

    Raises:
        ValueError: something beyond the text would be lost.
    """
    if rows.shape[-1] > width:
        if bool((rows[..., width:] != 0).any()):
            raise ValueError(f"{name} marks text positions beyond the {width} that the network saw")
        return rows[..., :width]
    return F.pad(rows, (0, width - rows.shape[-1]))
