"""What the network is trained on: words for positions, boxes, and how centred a position is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.losses.assigner import assign_boxes
from model.losses.focal import focal_one, focal_zero, focal_zero_sum
from model.network.box_coder import box_centers, decode_boxes, encode_boxes, to_inclusive
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


class AssignedBatch(NamedTuple):
    """The positives of a batch with what each must predict."""

    image_index_P: Tensor
    anchor_index_P: Tensor
    positive_map_PT: Tensor  # T as wide as the widest target's
    box_deltas_P4: Tensor
    centerness_P: Tensor
    weights_P: Tensor
    image_weight_B: Tensor

    def to(self, device: torch.device | str) -> AssignedBatch:
        """The same positives on `device`."""
        return AssignedBatch(*(tensor.to(device, non_blocking=True) for tensor in self))


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
    ) -> AssignedBatch:
        """The positives of every image; depends on the boxes and the grid alone.

        Raises:
            ValueError: a target's tensors do not fit together.
        """
        for number, target in enumerate(targets):
            shape = list(target.boxes_G4.shape)
            if target.boxes_G4.ndim != 2 or len(target.positive_map_GT) != len(target.boxes_G4):
                raise ValueError(
                    f"target {number}: boxes {shape} do not fit a positive map of "
                    f"{list(target.positive_map_GT.shape)}"
                )
        device = anchors_N4.device
        boxes_G4 = to_inclusive(torch.cat([target.boxes_G4.float() for target in targets]))
        counts = torch.tensor([len(target.boxes_G4) for target in targets], device=device)
        image_of_box_G = torch.arange(len(targets), device=device).repeat_interleave(counts)
        image_P, anchor_P, box_P = assign_boxes(
            boxes_G4,
            anchors_N4,
            level_sizes,
            image_of_box_G=image_of_box_G,
            candidates_per_level=self.candidates_per_level,
        )
        anchors_P4 = anchors_N4[anchor_P].float()
        deltas_P4 = encode_boxes(boxes_G4[box_P], anchors_P4)
        width = max(target.positive_map_GT.shape[1] for target in targets)
        maps_GT = torch.cat(
            [F.pad(t.positive_map_GT, (0, width - t.positive_map_GT.shape[1])) for t in targets]
        )
        weights_G = torch.cat(
            [
                t.boxes_G4.new_ones(len(t.boxes_G4)) if t.weights_G is None else t.weights_G
                for t in targets
            ]
        )
        return AssignedBatch(
            image_index_P=image_P,
            anchor_index_P=anchor_P,
            positive_map_PT=maps_GT[box_P].float(),
            box_deltas_P4=deltas_P4,
            centerness_P=_centerness(decode_boxes(deltas_P4, anchors_P4), anchors_P4),
            weights_P=weights_G[box_P].float(),
            image_weight_B=anchors_P4.new_tensor([target.image_weight for target in targets]),
        )

    @staticmethod
    def normalizers(assigned: AssignedBatch) -> Tensor:
        """[2]: number of positives, sum of their centerness targets.

        Sum over workers and micro-batches and pass the result to the call: the step's loss is
        then the same however the batch was divided.
        """
        centerness_P = assigned.centerness_P
        return torch.stack([centerness_P.new_tensor(float(len(centerness_P))), centerness_P.sum()])

    def __call__(
        self,
        output: GlipOutput,
        targets: Sequence[GroundingTarget],
        text_mask_BT: Tensor,
        *,
        normalizers: Tensor | None = None,
        assigned: AssignedBatch | None = None,
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
            mask_BT = mask_BT * assigned.image_weight_B[:, None]
            # All positives of the batch at once: image by image, every gradient of a slice would
            # be a tensor of the whole batch's size.
            image_P, anchor_P = assigned.image_index_P, assigned.anchor_index_P
            token = focal_zero_sum(logits_BNT, mask_BT)
            token = token + self._token_correction(logits_BNT, mask_BT, assigned)
            weights_P = assigned.weights_P * assigned.image_weight_B[image_P]
            deltas_P4 = output.box_deltas_BN4[image_P, anchor_P].float()
            loss_P = self._box_loss(
                deltas_P4, assigned.box_deltas_P4, output.anchors_N4[anchor_P].float()
            )
            box = (loss_P * assigned.centerness_P * weights_P).sum()
            centerness = F.binary_cross_entropy_with_logits(
                output.centerness_BN[image_P, anchor_P].float(),
                assigned.centerness_P,
                weight=weights_P,
                reduction="sum",
            )
            num_positives = num_positives.clamp(min=1)
            return LossParts(
                token=token / num_positives,
                box=BOX_LOSS_WEIGHT * box / centerness_sum.clamp(min=1e-6),
                centerness=centerness / num_positives,
                normalizers=own,
            )

    @staticmethod
    def _token_correction(logits_BNT: Tensor, mask_BT: Tensor, assigned: AssignedBatch) -> Tensor:
        """What to add to "every target is 0" for the entries whose target is 1."""
        num_images, num_anchors, num_tokens = logits_BNT.shape
        image_P, anchor_P = assigned.image_index_P, assigned.anchor_index_P
        map_PT = _fit_width(assigned.positive_map_PT, num_tokens, "positive_map_GT")
        rows = logits_BNT[image_P, anchor_P]
        zeros, ones = focal_zero(rows), focal_one(rows)
        # A box's weight covers its whole row, so the zeros of the row are corrected too.
        row_loss = zeros + (ones - zeros) * map_PT
        correction = ((row_loss * assigned.weights_P[:, None] - zeros) * mask_BT[image_P]).sum()
        if num_tokens > NO_OBJECT_POSITION and bool((mask_BT[:, NO_OBJECT_POSITION] > 0).any()):
            # A caption that fills all 256 positions: unmatched anchors aim at the last one.
            unmatched = mask_BT.new_ones(num_images, num_anchors)
            unmatched[image_P, anchor_P] = 0
            last = logits_BNT[..., NO_OBJECT_POSITION]
            slot = (focal_one(last) - focal_zero(last)) * unmatched
            correction = correction + (slot * mask_BT[:, NO_OBJECT_POSITION, None]).sum()
        return correction

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
