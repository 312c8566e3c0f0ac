"""Swin Transformer with the reference's arithmetic and timm's parameter names.

Where timm and the reference differ, released GLIP weights want the reference: windows are padded
before the cyclic shift, the zero padding takes part as keys, the shift mask covers the padded
size, and every odd block shifts whatever the map's size (docs/glip.md section 4).

B images, H W positions, C channels, G windows, L positions of a window.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.recompute import recompute

MLP_RATIO = 4
BETWEEN_REGIONS = -100.0
"""Added to the scores of places that the cyclic shift brought together."""
CHUNK_BYTES = 4_000_000
"""On a CPU without gradients the widest intermediate tensor has about this size, whatever the
image's."""


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
        self.body = SwinBody(embed_dim, depths, num_heads, window_size, drop_path)
        self.out_channels = tuple(embed_dim * 2**stage for stage in (1, 2, 3))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.out_channels)

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        """Maps [B, C, H / s, W / s] for s = 8, 16, 32; sides are rounded up."""
        maps = []
        x_BHWC = self.body.patch_embed(pixels_B3HW)
        for number, stage in enumerate(self.body.layers):
            x_BHWC = stage(x_BHWC)
            if number:
                maps.append(self.norms[number - 1](x_BHWC).permute(0, 3, 1, 2))
        return maps


class SwinBody(nn.Module):
    """The parameters of a Swin Transformer, named as timm names them."""

    def __init__(
        self,
        embed_dim: int,
        depths: list[int],
        num_heads: list[int],
        window_size: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(embed_dim)
        rates = torch.linspace(0, drop_path, sum(depths), device="cpu").split(depths)
        self.layers = nn.ModuleList(
            Stage(embed_dim * 2**number, heads, window_size, rate.tolist(), merge=number > 0)
            for number, (heads, rate) in enumerate(zip(num_heads, rates, strict=True))
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class PatchEmbed(nn.Module):
    """Patches of 4x4 pixels, projected and normalised."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 4, stride=4)
        self.norm = nn.LayerNorm(channels)

    def forward(self, pixels_B3HW: Tensor) -> Tensor:
        """[B, H / 4, W / 4, C], sides rounded up."""
        height, width = pixels_B3HW.shape[-2:]
        x = F.pad(pixels_B3HW, (0, -width % 4, 0, -height % 4))
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """Half the side, twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """[B, H / 2, W / 2, 2 C], sides rounded up."""
        height, width = x_BHWC.shape[1:3]
        x = F.pad(x_BHWC, (0, 0, 0, width % 2, 0, height % 2))
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(parts, dim=-1)))


class Stage(nn.Module):
    """Blocks of one resolution, every second one with shifted windows."""

    def __init__(
        self, channels: int, num_heads: int, window: int, drop_paths: list[float], *, merge: bool
    ) -> None:
        super().__init__()
        self.downsample = PatchMerging(channels // 2) if merge else nn.Identity()
        self.blocks = nn.ModuleList(
            SwinBlock(channels, num_heads, window, window // 2 * (number % 2), rate)
            for number, rate in enumerate(drop_paths)
        )

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """Without gradients the first stage changes its input."""
        x_BHWC = self.downsample(x_BHWC)
        for block in self.blocks:
            x_BHWC = block(x_BHWC)
        return x_BHWC


class SwinBlock(nn.Module):
    """Attention within windows, then an MLP at every position."""

    def __init__(
        self, channels: int, num_heads: int, window: int, shift: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, num_heads, window, shift)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, MLP_RATIO * channels)
        self.drop_path = drop_path

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """Same shape; on a CPU without gradients in place, a part at a time."""
        if not _in_parts(x_BHWC):
            x_BHWC = x_BHWC + self._drop(self.attn(self.norm1(x_BHWC)))
            return x_BHWC + self._drop(self.mlp(self.norm2(x_BHWC)))
        x_BHWC += self._drop(self.attn(self.norm1(x_BHWC)))
        for image_HWC in x_BHWC:
            for rows_HWC in image_HWC.split(_rows_of_a_part(image_HWC, MLP_RATIO)):
                rows_HWC += self.mlp(self.norm2(rows_HWC))
        return x_BHWC

    def _drop(self, x_BHWC: Tensor) -> Tensor:
        if not (self.training and self.drop_path):
            return x_BHWC
        keep = 1 - self.drop_path
        return x_BHWC * (x_BHWC.new_empty(len(x_BHWC), 1, 1, 1).bernoulli_(keep) / keep)


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class WindowAttention(nn.Module):
    """Attention within windows, with a learned bias for each pair of places."""

    relative_position_index: Tensor

    def __init__(self, channels: int, num_heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.num_heads, self.window, self.shift = num_heads, window, shift
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        table = torch.empty((2 * window - 1) ** 2, num_heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.normal_(table, std=0.02))
        index = relative_position_index(window)
        self.register_buffer("relative_position_index", index, persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """Same shape. The windows' zero padding takes part, and is cut off afterwards."""
        height, width = x_BHWC.shape[1:3]
        side, shift = self.window, self.shift
        x = F.pad(x_BHWC, (0, 0, 0, -width % side, 0, -height % side))
        padded_height, padded_width = x.shape[1:3]
        bias_1HLL = self._position_bias()[None]
        regions_HW = _regions(padded_height, padded_width, side, shift, x.device) if shift else None
        if shift:
            x = torch.roll(x, shifts=(-shift, -shift), dims=(1, 2))
        if _in_parts(x):  # a strip of windows reads nothing but itself
            step = max(1, _rows_of_a_part(x[0], 3) // side) * side
            for image_1HWC in x.split(1):
                for top in range(0, padded_height, step):
                    rows = slice(top, top + step)
                    regions = None if regions_HW is None else regions_HW[rows]
                    image_1HWC[:, rows] = self._attend(image_1HWC[:, rows], bias_1HLL, regions)
        else:
            x = self._attend(x, bias_1HLL, regions_HW)
        if shift:
            x = torch.roll(x, shifts=(shift, shift), dims=(1, 2))
        return x[:, :height, :width]

    def _attend(self, x_BHWC: Tensor, bias_1HLL: Tensor, regions_HW: Tensor | None) -> Tensor:
        """Attention within each window of a map whose sides are multiples of the window."""
        batch, height, width, channels = x_BHWC.shape
        side = self.window
        regions_GL = None
        if regions_HW is not None:
            regions_GL = _windows(regions_HW[None, ..., None], side).squeeze(-1).repeat(batch, 1)
        qkv = self.qkv(_windows(x_BHWC, side)).unflatten(2, (3, self.num_heads, -1))
        y = recompute(_mix, qkv.permute(2, 0, 3, 1, 4), bias_1HLL, regions_GL)
        y_GLC = self.proj(y.transpose(1, 2).flatten(2))
        y = y_GLC.view(batch, height // side, width // side, side, side, channels)
        return y.transpose(2, 3).reshape(x_BHWC.shape)

    def _position_bias(self) -> Tensor:
        """What each head adds to the scores of each pair of places [H, L, L]."""
        area = self.window**2
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        return bias.view(area, area, -1).permute(2, 0, 1)


def _mix(qkv_3GHLD: Tensor, bias_1HLL: Tensor, regions_GL: Tensor | None) -> Tensor:
    """Attention within each window, and there within each region."""
    query, key, value = qkv_3GHLD
    bias_GHLL = bias_1HLL
    if regions_GL is not None:
        apart = regions_GL[:, None, None, :] != regions_GL[:, None, :, None]
        bias_GHLL = bias_1HLL + apart * BETWEEN_REGIONS
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias_GHLL.to(query.dtype))


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for each pair of positions of a window, int64 [w * w, w * w]."""
    place = torch.arange(window**2)
    y, x = place // window, place % window
    dy, dx = y[:, None] - y[None] + window - 1, x[:, None] - x[None] + window - 1
    return dy * (2 * window - 1) + dx


def _in_parts(x: Tensor) -> bool:
    graph = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not graph


def _rows_of_a_part(x_HWC: Tensor, widening: int) -> int:
    """Rows of a map whose positions, so many times wider, have the size of a part."""
    return max(1, CHUNK_BYTES // (widening * x_HWC[0].nbytes))


def _windows(x_BHWC: Tensor, side: int) -> Tensor:
    """[G, L, C], image by image, row by row."""
    batch, height, width, channels = x_BHWC.shape
    x = x_BHWC.view(batch, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side**2, channels)


@lru_cache(maxsize=64)
def _regions(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Which of nine regions each position of a shifted map comes from [H, W]."""
    region_HW = torch.zeros(height, width, device="cpu")
    bounds = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (y, x) in enumerate((y, x) for y in bounds for x in bounds):
        region_HW[y, x] = number
    return region_HW.to(device)  # kept there: each copy would be waited for
