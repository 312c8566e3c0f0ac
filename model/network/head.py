"""Predictions at each position: box, centerness, match with each word (docs/glip.md section 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.dyconv import init_normal

PRIOR_PROBABILITY = 0.01


class GroundingHead(nn.Module):
    """Dot products of positions and words, box deltas and centerness.

    Args:
        channels: Channels of every level.
        text_dim: Width of the word features.
        num_levels: Levels, each with its own box scale.
    """

    def __init__(self, channels: int, text_dim: int, num_levels: int) -> None:
        super().__init__()
        self.box = nn.Conv2d(channels, 4, 1)
        self.centerness = nn.Conv2d(channels, 1, 1)
        self.level_scales = nn.ParameterList(torch.ones(1) for _ in range(num_levels))
        self.text_projection = nn.Linear(text_dim, channels)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.bias_lang = nn.Parameter(torch.zeros(text_dim))
        self.bias0 = nn.Parameter(
            torch.tensor([-math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)])
        )
        init_normal(self.box, std=0.01)
        init_normal(self.centerness, std=0.01)

    def forward(self, levels: Sequence[Tensor], words_BTL: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, N, T], box deltas [B, N, 4] and centerness logits [B, N].

        logit = x . W(e / 2) / exp(log_scale) + e . bias_lang + bias0 for the unit word vector e.
        """
        deltas = [
            (self.box(x) * scale).flatten(2)
            for x, scale in zip(levels, self.level_scales, strict=True)
        ]
        centerness = [self.centerness(x).flatten(2) for x in levels]
        positions_BNC = torch.cat([x.flatten(2) for x in levels], dim=2).transpose(1, 2)
        unit_BTL = F.normalize(words_BTL.float(), dim=-1)
        bias_BT = unit_BTL @ self.bias_lang.float() + self.bias0.float()
        half_BTL = (unit_BTL / 2).to(self.text_projection.weight.dtype)
        weights_BTC = self.text_projection(half_BTL) / self.log_scale.exp()
        logits_BNT = positions_BNC @ weights_BTC.transpose(1, 2).to(positions_BNC.dtype)
        return (
            logits_BNT + bias_BT[:, None],
            torch.cat(deltas, dim=2).transpose(1, 2),
            torch.cat(centerness, dim=2).squeeze(1),
        )
