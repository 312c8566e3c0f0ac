"""Swin Transformer with timm's parameters and the reference's arithmetic.

Where timm and the reference differ, released GLIP weights want the reference: windows are padded
before the cyclic shift, the zero padding takes part as keys, the shift mask covers the padded
size, and every odd block shifts whatever the map's size (glip.md section 4).

B images, H W positions, C channels, L positions of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from model.recompute import recompute

CHUNK_POSITIONS = 100000
"""On a CPU, without gradients, so many positions are transformed at once."""


class SwinBackbone(nn.Module):
    """Maps of strides 8, 16 and 32, each normalised.

    Args:
        embed_dim: Width of the first stage; it doubles at each of the next three.
        depths: Blocks of each stage.
        num_heads: Attention heads of each stage.
        window_size: Side of an attention window in positions.
        drop_path: Rate at the last block; it rises linearly from 0.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depths: list[int],
        num_heads: list[int],
        window_size: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        # Any: torch types a submodule's own attributes as Tensor or Module.
        self.body: Any = SwinTransformer(
            img_size=window_size * 32,
            embed_dim=embed_dim,
            depths=tuple(depths),
            num_heads=tuple(num_heads),
            window_size=window_size,
            num_classes=0,
            global_pool="",
            drop_path_rate=drop_path,
        )
        self.body.norm = nn.Identity()
        self.out_channels = tuple(embed_dim * 2**stage for stage in (1, 2, 3))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.out_channels)

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        """Maps [B, C, H / s, W / s] for s = 8, 16, 32; sides are rounded up."""
        patch_embed = self.body.patch_embed
        height, width = pixels_B3HW.shape[-2:]
        x = F.pad(pixels_B3HW, (0, -width % 4, 0, -height % 4))
        x_BHWC = patch_embed.norm(patch_embed.proj(x).permute(0, 2, 3, 1))
        maps = []
        for number, stage in enumerate(self.body.layers):
            if number:
                x_BHWC = _merge_patches(stage.downsample, x_BHWC)
            for depth, block in enumerate(stage.blocks):
                x_BHWC = _block(block, x_BHWC, shifted=depth % 2 == 1)
            if number:
                maps.append(self.norms[number - 1](x_BHWC).permute(0, 3, 1, 2))
        return maps


def _merge_patches(downsample: Any, x_BHWC: Tensor) -> Tensor:
    height, width = x_BHWC.shape[1:3]
    x = F.pad(x_BHWC, (0, 0, 0, width % 2, 0, height % 2))
    parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
    return downsample.reduction(downsample.norm(torch.cat(parts, dim=-1)))


def _block(block: Any, x_BHWC: Tensor, *, shifted: bool) -> Tensor:
    window = block.attn.window_size[0]
    shift = window // 2 if shifted else 0
    x_BHWC = x_BHWC + block.drop_path1(
        _window_attention(block.attn, block.norm1(x_BHWC), window, shift)
    )
    mixed_MC = _in_chunks(
        lambda x_MC: block.mlp(block.norm2(x_MC)), x_BHWC.flatten(0, 2), CHUNK_POSITIONS
    )
    return x_BHWC + block.drop_path2(mixed_MC.view_as(x_BHWC))


def _in_chunks(function: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
    """A function of each row; without gradients in parts that stay in the processor's cache."""
    if torch.is_grad_enabled() or x.device.type != "cpu" or len(x) <= size:
        return function(x)
    return torch.cat([function(part) for part in x.split(size)])


def _window_attention(attn: Any, x_BHWC: Tensor, window: int, shift: int) -> Tensor:
    batch, height, width, channels = x_BHWC.shape
    x = F.pad(x_BHWC, (0, 0, 0, -width % window, 0, -height % window))
    padded_height, padded_width = x.shape[1:3]
    rows, columns = padded_height // window, padded_width // window
    if shift:
        x = torch.roll(x, shifts=(-shift, -shift), dims=(1, 2))
    x = x.view(batch, rows, window, columns, window, channels)
    x_GLC = x.permute(0, 1, 3, 2, 4, 5).reshape(batch * rows * columns, window**2, channels)

    bias_1HLL = _position_bias(attn)
    size = max(1, CHUNK_POSITIONS // window**2)
    if torch.is_grad_enabled() or x.device.type != "cpu":
        size = len(x_GLC)
    parts = x_GLC.split(size)
    if shift:
        regions_GL = _regions(padded_height, padded_width, window, shift).to(x.device)
        regions = regions_GL.repeat(batch, 1).split(size)
        out = torch.cat(
            [
                _attend(attn, part, bias_1HLL, region)
                for part, region in zip(parts, regions, strict=True)
            ]
        )
    else:
        out = torch.cat([_attend(attn, part, bias_1HLL) for part in parts])

    out = out.view(batch, rows, columns, window, window, channels).permute(0, 1, 3, 2, 4, 5)
    out = out.reshape(batch, padded_height, padded_width, channels)
    if shift:
        out = torch.roll(out, shifts=(shift, shift), dims=(1, 2))
    return out[:, :height, :width]


def _attend(
    attn: Any, x_GLC: Tensor, bias_1HLL: Tensor, regions_GL: Tensor | None = None
) -> Tensor:
    """Attention within each window, and there within each region."""
    qkv_3GHLD = attn.qkv(x_GLC).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    out = recompute(_mix, qkv_3GHLD, bias_1HLL, regions_GL)
    return attn.proj(out.transpose(1, 2).flatten(2))


def _mix(qkv_3GHLD: Tensor, bias_1HLL: Tensor, regions_GL: Tensor | None) -> Tensor:
    query, key, value = qkv_3GHLD
    bias = bias_1HLL if regions_GL is None else bias_1HLL + _between_regions(regions_GL)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))


def _position_bias(attn: Any) -> Tensor:
    area = attn.relative_position_index.shape[0]
    bias = attn.relative_position_bias_table[attn.relative_position_index.view(-1)]
    return bias.view(1, area, area, -1).permute(0, 3, 1, 2)


def _between_regions(regions_GL: Tensor) -> Tensor:
    """-100 between positions that the cyclic shift brought together: [G, 1, L, L]."""
    return (regions_GL[:, None, None, :] != regions_GL[:, None, :, None]) * -100.0


@lru_cache(maxsize=64)
def _regions(height: int, width: int, window: int, shift: int) -> Tensor:
    """Which of nine regions each position of each window comes from: [windows, L]."""
    region = torch.zeros(height, width)
    bounds = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (y, x) in enumerate((y, x) for y in bounds for x in bounds):
        region[y, x] = number
    region = region.view(height // window, window, width // window, window)
    return region.transpose(1, 2).reshape(-1, window**2)
