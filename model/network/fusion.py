"""Early fusion: image positions and words attend to each other (docs/glip.md section 7.1).

The reference projects every image position to the 2048-wide joint space three times. All three
projections are linear, so here they are folded into the words instead, which are few: scores are
`v . (k W_q)`, the image's update is a weighted sum of `(value W_out)` rows, and the words' update
averages the 256-wide `v` before it is projected. Equal in real arithmetic, also in training.
The reference's clamps to +-50000 never act on finite networks of these sizes and are left out.

B images, N positions over all levels, T words, H heads, V image channels, L text channels.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.half import half_without_gradients
from model.network.recompute import Recomputing, recompute

CHUNK_SCORES = 1_000_000
"""On a CPU without gradients the scores of this many (head, position, word) triples are held at
once: they stay in the processor's cache."""
GPU_CHUNK_SCORES = 128_000_000
"""On other devices; small chunks would be thousands of small kernels."""

FUSED_VALUES = 128_000_000
"""With torch's kernel as many heads are asked at once as give so many numbers."""
NEVER = -30_000.0
"""Bias of padding for torch's kernel: float16 holds it, and a row of nothing else is no NaN."""

SMALLEST_CHUNK = 256
"""Positions of a chunk at least."""


class Folded(NamedTuple):
    """The words as the image sees them, for every head; `bias` is -inf on padding."""

    keys_BMV: Tensor  # M = H * T
    bias_BHT: Tensor
    values_BMV: Tensor


class BiAttention(Recomputing):
    """One fusion layer.

    Args:
        image_dim: V.
        text_dim: L.
        joint_dim: Width of the joint space over all heads.
        num_heads: H.
        dropout: Rate on both attention maps.
        gamma: Initial scale of both updates.
    """

    def __init__(
        self,
        *,
        image_dim: int,
        text_dim: int,
        joint_dim: int,
        num_heads: int,
        dropout: float,
        gamma: float,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = joint_dim // num_heads
        self.dropout = dropout
        self.norm_v = nn.LayerNorm(image_dim)
        self.norm_l = nn.LayerNorm(text_dim)
        self.query_v = nn.Linear(image_dim, joint_dim)
        self.key_l = nn.Linear(text_dim, joint_dim)
        self.value_v = nn.Linear(image_dim, joint_dim)
        self.value_l = nn.Linear(text_dim, joint_dim)
        self.out_v = nn.Linear(joint_dim, image_dim)
        self.out_l = nn.Linear(joint_dim, text_dim)
        self.gamma_v = nn.Parameter(torch.full((image_dim,), gamma))
        self.gamma_l = nn.Parameter(torch.full((text_dim,), gamma))
        for linear in (
            self.query_v,
            self.key_l,
            self.value_v,
            self.value_l,
            self.out_v,
            self.out_l,
        ):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, v_BNV: Tensor, l_BTL: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides, updated. The residual stands around the NORMALISED features, as published."""
        v_BNV, l_BTL = self.norm_v(v_BNV), self.norm_l(l_BTL)
        folded = self._fold(l_BTL, mask_BT)
        if torch.is_grad_enabled() or (self.training and self.dropout):
            attend = (
                partial(recompute, self._attend, draws=True) if self.recomputes else self._attend
            )
            dv_BNV, mean_BMV, weight_BM = attend(v_BNV, folded)
            v_new_BNV = v_BNV + self.gamma_v * (dv_BNV + self.out_v.bias)
        else:
            half = half_without_gradients(v_BNV.device.type, self.query_v.weight)
            dv_BNV, mean_BMV, weight_BM = (
                self._attend_fused(v_BNV, folded, half)
                if half
                else self._attend_in_chunks(v_BNV, folded)
            )
            v_new_BNV = dv_BNV.add_(self.out_v.bias).mul_(self.gamma_v).add_(v_BNV)
        return v_new_BNV, l_BTL + self.gamma_l * self._words(mean_BMV, weight_BM)

    def _fold(self, l_BTL: Tensor, mask_BT: Tensor) -> Folded:
        batch, words = mask_BT.shape
        heads, width = self.num_heads, self.head_dim
        scale = 1 / math.sqrt(width)

        def by_head(x_BTJ: Tensor) -> Tensor:
            return x_BTJ.view(batch, words, heads, width).transpose(1, 2)

        keys_BHTD = by_head(self.key_l(l_BTL)) * scale
        values_BHTD = by_head(self.value_l(l_BTL))
        query_HDV = self.query_v.weight.view(heads, width, -1)
        out_HDV = self.out_v.weight.t().reshape(heads, width, -1)
        bias_BHT = (keys_BHTD @ self.query_v.bias.view(heads, width, 1)).squeeze(-1)
        padding = mask_BT[:, None] == 0
        return Folded(
            (keys_BHTD @ query_HDV).flatten(1, 2),
            bias_BHT.float().masked_fill(padding, -torch.inf),
            (values_BHTD @ out_HDV).flatten(1, 2),
        )

    def _attend(self, v_BNV: Tensor, folded: Folded) -> tuple[Tensor, Tensor, Tensor]:
        """The image's update, and for each head and word the average of `v` and its weight."""
        scores_BNM = v_BNV @ folded.keys_BMV.transpose(1, 2)
        to_words_BNM = F.dropout(self._over_words(scores_BNM, folded), self.dropout, self.training)
        dv_BNV = to_words_BNM @ folded.values_BMV
        over_image_BNM = F.dropout(scores_BNM.float().softmax(1), self.dropout, self.training)
        mean_BMV = over_image_BNM.to(v_BNV.dtype).transpose(1, 2) @ v_BNV
        return dv_BNV, mean_BMV, over_image_BNM.sum(1)

    def _attend_in_chunks(self, v_BNV: Tensor, folded: Folded) -> tuple[Tensor, Tensor, Tensor]:
        """The same without gradients: one pass over the positions, scores never held whole."""
        keys_BVM = folded.keys_BMV.transpose(1, 2)
        batch, positions, _ = v_BNV.shape
        limit = CHUNK_SCORES if v_BNV.device.type == "cpu" else GPU_CHUNK_SCORES
        size = max(SMALLEST_CHUNK, limit // (batch * keys_BVM.shape[-1]))
        dv_BNV = torch.empty_like(v_BNV)
        best_BM = keys_BVM.new_full(keys_BVM.shape[::2], -torch.inf, dtype=torch.float32)
        weight_BM = torch.zeros_like(best_BM)
        mean_BMV = torch.zeros_like(folded.keys_BMV, dtype=torch.float32)
        for start in range(0, positions, size):
            chunk_BNV = v_BNV[:, start : start + size]
            scores_BNM = (chunk_BNV @ keys_BVM).float()
            to_words_BNM = self._over_words(scores_BNM, folded).to(folded.values_BMV.dtype)
            dv_BNV[:, start : start + size] = to_words_BNM @ folded.values_BMV
            new_best_BM = torch.maximum(best_BM, scores_BNM.amax(1))
            shares_BNM = (scores_BNM - new_best_BM[:, None]).exp_()
            shrink_BM = (best_BM - new_best_BM).exp_()
            weight_BM = weight_BM * shrink_BM + shares_BNM.sum(1)
            part_BMV = _weighted_sum(shares_BNM, chunk_BNV)
            mean_BMV = mean_BMV * shrink_BM[..., None] + part_BMV
            best_BM = new_best_BM
        mean_BMV = (mean_BMV / weight_BM[..., None]).to(v_BNV.dtype)
        return dv_BNV, mean_BMV, torch.ones_like(weight_BM)

    def _attend_fused(
        self, v_BNV: Tensor, folded: Folded, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same with torch's attention kernel, which holds no scores and keeps them in float32.

        Words look at positions with the words of all heads as one row of queries. Positions look
        at the words of each head, and the updates of all heads are added.
        """
        x_B1NV = v_BNV[:, None].to(dtype)
        mean_B1MV = F.scaled_dot_product_attention(
            folded.keys_BMV[:, None].to(dtype), x_B1NV, x_B1NV, scale=1.0
        )
        keys_BHTV, values_BHTV = (
            rows_BMV.unflatten(1, (self.num_heads, -1)).to(dtype)
            for rows_BMV in (folded.keys_BMV, folded.values_BMV)
        )
        bias_BH1T = folded.bias_BHT.clamp(min=NEVER)[:, :, None].to(dtype)
        dv_BNV = torch.zeros_like(v_BNV, dtype=torch.float32)
        step = max(1, FUSED_VALUES // v_BNV.numel())
        for first in range(0, self.num_heads, step):
            heads = slice(first, first + step)
            keys = keys_BHTV[:, heads]
            found_BHNV = F.scaled_dot_product_attention(
                x_B1NV.expand(-1, keys.shape[1], -1, -1),
                keys,
                values_BHTV[:, heads],
                attn_mask=bias_BH1T[:, heads],
                scale=1.0,
            )
            dv_BNV += found_BHNV.sum(1, dtype=torch.float32)
        weight_BM = torch.ones_like(folded.keys_BMV[..., 0], dtype=torch.float32)
        return dv_BNV.to(v_BNV.dtype), mean_B1MV[:, 0].to(v_BNV.dtype), weight_BM

    def _over_words(self, scores_BNM: Tensor, folded: Folded) -> Tensor:
        scores_BNHT = scores_BNM.unflatten(2, (self.num_heads, -1)) + folded.bias_BHT[:, None]
        return scores_BNHT.softmax(-1).flatten(2).to(scores_BNM.dtype)

    def _words(self, mean_BMV: Tensor, weight_BM: Tensor) -> Tensor:
        heads, width = self.num_heads, self.head_dim
        value_HVD = self.value_v.weight.view(heads, width, -1).transpose(1, 2)
        bias_HD = self.value_v.bias.view(heads, 1, width)
        mean_BHTV = mean_BMV.unflatten(1, (heads, -1))
        weight_BHT = weight_BM.unflatten(1, (heads, -1)).to(mean_BMV.dtype)
        values_BHTD = mean_BHTV @ value_HVD + weight_BHT[..., None] * bias_HD
        return self.out_l(values_BHTD.transpose(1, 2).flatten(2))


def _weighted_sum(shares_BNM: Tensor, v_BNV: Tensor) -> Tensor:
    """Sums of many positions [B, M, V]. Shares are up to 1 each, so that fp16, which ends at 65504,
    could overflow here: then it is computed in single precision."""
    device = v_BNV.device.type
    if v_BNV.dtype != torch.float16 and not _is_fp16(device):
        return shares_BNM.to(v_BNV.dtype).transpose(1, 2) @ v_BNV
    with torch.autocast(device, enabled=False):
        return shares_BNM.float().transpose(1, 2) @ v_BNV.float()


def _is_fp16(device: str) -> bool:
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
