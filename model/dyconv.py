"""One layer of the dynamic head: every level looks at its neighbours (glip.md section 7.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.deform import NUM_TAPS, DeformConv, reread, resize_offsets


def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6."""
    return F.relu6(x + 3) / 6


class Branch(nn.Module):
    """A deformable convolution and its group normalisation."""

    def __init__(self, channels: int, norm_groups: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = DeformConv(channels, channels, stride=stride)
        self.norm = nn.GroupNorm(norm_groups, channels)

    def forward(self, x_BCHW: Tensor, offsets_B18HW: Tensor, mask_B9HW: Tensor) -> Tensor:
        """The normalised map, of the offsets' size."""
        return self.norm(self.conv(x_BCHW, offsets_B18HW, mask_B9HW))


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
        return torch.maximum(x_BCHW * (2 * slope1 + 1) + offset1, x_BCHW * (2 * slope2) + offset2)


class DyConv(nn.Module):
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
        nn.init.normal_(self.branch_score.weight, std=0.01)
        nn.init.zeros_(self.branch_score.bias)
        if not reread_offsets:  # start as a plain convolution
            nn.init.zeros_(self.offset.weight)
            nn.init.zeros_(self.offset.bias)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """New levels of the same sizes; every read is of the layer's input."""
        return [self._level(levels, number) for number in range(len(levels))]

    def _level(self, levels: Sequence[Tensor], number: int) -> Tensor:
        x_BCHW = levels[number]
        raw = self.offset(x_BCHW).float()
        offsets, mask = raw[:, : 2 * NUM_TAPS], raw[:, 2 * NUM_TAPS :].sigmoid()
        branches = [self.same(x_BCHW, offsets, mask)]
        if number > 0:
            branches.append(self.finer(levels[number - 1], offsets, mask))
        if number < len(levels) - 1:
            coarse = self._coarser(levels[number + 1], offsets, mask)
            branches.append(
                F.interpolate(coarse, size=x_BCHW.shape[-2:], mode="bilinear", align_corners=True)
            )
        mixed = sum(branch * self._score(branch) for branch in branches) / len(branches)
        return self.relu(mixed)

    def _coarser(self, x_BChw: Tensor, offsets_B18HW: Tensor, mask_B9HW: Tensor) -> Tensor:
        size = x_BChw.shape[-2], x_BChw.shape[-1]
        if self.reread_offsets:
            return self.coarser(x_BChw, reread(offsets_B18HW, size), reread(mask_B9HW, size))
        mask = F.adaptive_avg_pool2d(mask_B9HW, size)
        return self.coarser(x_BChw, resize_offsets(offsets_B18HW, size), mask)

    def _score(self, branch_BCHW: Tensor) -> Tensor:
        return hard_sigmoid(F.relu(self.branch_score(branch_BCHW.mean((2, 3), keepdim=True))))
