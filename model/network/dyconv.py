"""One layer of the dynamic head: every level looks at its neighbours (docs/glip.md section 7.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.deform import NUM_TAPS, DeformConv, reread, resize_mask, resize_offsets
from model.network.recompute import Recomputing, recompute


def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6."""
    return F.relu6(x + 3) / 6


def init_normal(convolution: nn.Conv2d, std: float) -> None:
    """Weights from N(0, std^2), biases 0."""
    nn.init.normal_(convolution.weight, std=std)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


class Branch(nn.Module):
    """A deformable convolution and its group normalisation."""

    def __init__(self, channels: int, norm_groups: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = DeformConv(channels, channels, stride=stride)
        self.norm = nn.GroupNorm(norm_groups, channels)

    def forward(
        self, maps: Sequence[Tensor], offsets: Sequence[Tensor], masks: Sequence[Tensor]
    ) -> list[Tensor]:
        """The normalised maps, of the offsets' sizes."""
        if not maps:
            return []
        return [self.norm(y_BCHW) for y_BCHW in self.conv(maps, offsets, masks)]


class DyReLU(nn.Module):
    """The larger of two lines whose slopes and offsets come from the map's mean (DyReLU-B)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels * 4)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Same shape."""
        theta = hard_sigmoid(self.excite(F.relu(self.squeeze(x_BCHW.mean((2, 3))))))
        slope1, offset1, slope2, offset2 = (theta[..., None, None] - 0.5).chunk(4, dim=1)
        return torch.maximum(
            torch.addcmul(offset1, x_BCHW, 2 * slope1 + 1),
            torch.addcmul(offset2, x_BCHW, 2 * slope2),
        )


class DyConv(Recomputing):
    """Mixes each level with the next finer and the next coarser one.

    Args:
        channels: Channels of every level.
        norm_groups: Groups of the normalisations.
        reread_offsets: How the coarser branch gets its offsets: re-read from the flat buffer, as
            the released weights want it, or averaged to the coarser size.
    """

    def __init__(self, channels: int, norm_groups: int, *, reread_offsets: bool) -> None:
        super().__init__()
        self.coarser = Branch(channels, norm_groups)
        self.same = Branch(channels, norm_groups)
        self.finer = Branch(channels, norm_groups, stride=2)
        self.branch_score = nn.Conv2d(channels, 1, 1)
        self.relu = DyReLU(channels)
        self.offset = nn.Conv2d(channels, 3 * NUM_TAPS, 3, padding=1)
        self.reread_offsets = reread_offsets
        init_normal(self.branch_score, std=0.01)
        if not reread_offsets:  # start as a plain convolution
            init_normal(self.offset, std=0.0)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """New levels of the same sizes; every read is of the layer's input."""
        sizes = [(x.shape[-2], x.shape[-1]) for x in levels]
        raws = [self.offset(x).float() for x in levels]
        offsets = [raw[:, : 2 * NUM_TAPS] for raw in raws]
        masks = [raw[:, 2 * NUM_TAPS :].sigmoid() for raw in raws]
        same = self.same(levels, offsets, masks)
        finer = self.finer(levels[:-1], offsets[1:], masks[1:])
        resize = (reread, reread) if self.reread_offsets else (resize_offsets, resize_mask)
        coarser = self.coarser(
            levels[1:],
            [resize[0](x, size) for x, size in zip(offsets[:-1], sizes[1:], strict=True)],
            [resize[1](x, size) for x, size in zip(masks[:-1], sizes[1:], strict=True)],
        )
        outputs = []
        for number in range(len(levels)):
            branches = [same[number]]
            if number > 0:
                branches.append(finer[number - 1])
            if number < len(levels) - 1:
                branches.append(coarser[number])
            mixed = recompute(self._mix, branches) if self.recomputes else self._mix(branches)
            outputs.append(mixed)
        return outputs

    def _mix(self, branches: Sequence[Tensor]) -> Tensor:
        """The first branch and those of its neighbours, brought to its size."""
        size = branches[0].shape[-2:]
        total_BCHW: Tensor | None = None
        for branch in branches:
            resized = branch
            if branch.shape[-2:] != size:
                resized = F.interpolate(branch, size=size, mode="bilinear", align_corners=True)
            score_B111 = self._score(resized)
            if total_BCHW is None:
                total_BCHW = resized * score_B111
            else:
                total_BCHW.addcmul_(resized, score_B111)
        assert total_BCHW is not None
        return self.relu(total_BCHW.div_(len(branches)))

    def _score(self, branch_BCHW: Tensor) -> Tensor:
        return hard_sigmoid(F.relu(self.branch_score(branch_BCHW.mean((2, 3), keepdim=True))))
