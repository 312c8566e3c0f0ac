"""GLIP: an image pyramid and a caption, fused layer by layer, matched position by word.

The same class is teacher and student; a size is a configuration.
B images, N positions over all levels, T words, C channels, L text channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.config import GlipConfig
from model.network.anchors import make_anchors
from model.network.backbone import build_backbone
from model.network.bert import BertLayer
from model.network.dyconv import DyConv
from model.network.fpn import FeaturePyramid
from model.network.fusion import BiAttention
from model.network.head import GroundingHead
from model.network.text_encoder import TextEncoder
from model.outputs import GlipOutput, TextFeatures, TokenBatch

NOTHING = -1e4
"""Logit of a position where there is no image; it fits into half precision."""


class TowerLayer(nn.Module):
    """Fuse, then let each side look at itself. Without fusion only the image side is left."""

    def __init__(self, config: GlipConfig) -> None:
        super().__init__()
        self.fusion: BiAttention | None = None
        self.language: BertLayer | None = None
        if config.early_fusion:
            self.fusion = BiAttention(
                image_dim=config.channels,
                text_dim=config.text.hidden_size,
                joint_dim=config.fusion_dim,
                num_heads=config.fusion_heads,
                dropout=config.fusion_dropout,
                gamma=1 / config.num_layers,
            )
            self.language = BertLayer(config.text)
        self.vision = DyConv(
            config.channels, config.norm_groups, reread_offsets=config.reread_offsets
        )

    def fuse(
        self, levels: Sequence[Tensor], words_BTL: Tensor, mask_BT: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Both sides after the fusion alone."""
        if self.fusion is None:
            return list(levels), words_BTL
        sizes = [x.shape[-2:] for x in levels]
        v_BNC = torch.cat([x.flatten(2).transpose(1, 2) for x in levels], dim=1)
        v_BNC, words_BTL = self.fusion(v_BNC, words_BTL, mask_BT)
        parts = v_BNC.transpose(1, 2).split([h * w for h, w in sizes], dim=2)
        fused = [part.unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]
        return fused, words_BTL

    def read(self, words_BTL: Tensor, mask_BT: Tensor) -> Tensor:
        """The words after their BERT layer."""
        return words_BTL if self.language is None else self.language(words_BTL, mask_BT)

    def forward(
        self, levels: Sequence[Tensor], words_BTL: Tensor, mask_BT: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Both sides after the whole layer."""
        fused, words_BTL = self.fuse(levels, words_BTL, mask_BT)
        return self.vision(fused), self.read(words_BTL, mask_BT)


class Glip(nn.Module):
    """Grounded language-image pre-training: boxes for the words of a caption."""

    def __init__(self, config: GlipConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        self.pyramid = FeaturePyramid(
            self.backbone.out_channels,
            config.channels,
            num_extra_levels=config.num_extra_levels,
            dropblock=config.dropblock,
        )
        self.text_encoder = TextEncoder(config.text)
        self.tower = nn.ModuleList(TowerLayer(config) for _ in range(config.num_layers))
        self.head = GroundingHead(config.channels, config.text.hidden_size, len(config.strides))

    def encode_image(self, pixels_B3HW: Tensor) -> list[Tensor]:
        """What does not depend on words, finest level first: once for any number of prompts.

        The pyramid, and without early fusion the tower as well.

        pixels_B3HW: normalised, padded to a multiple of `config.size_divisor`.
        """
        levels = self.pyramid(self.backbone(pixels_B3HW))
        if not self.config.early_fusion:  # then no layer of the tower looks at the words
            for layer in self.tower:
                levels = self._run(layer.vision, levels)
        return levels

    def encode_text(self, tokens: TokenBatch) -> TextFeatures:
        """The words alone: computed once for each distinct prompt."""
        return self.text_encoder(tokens)

    def predict(self, levels: Sequence[Tensor], text: TextFeatures) -> GlipOutput:
        """Fuse and predict. `levels` and `text` have the same batch size and are not changed."""
        mask_BT = text.attention_mask_BT
        words_BTL, levels = text.hidden_BTC, list(levels)
        if self.config.early_fusion:
            for layer in self.tower:
                levels, words_BTL = self._run(layer, levels, words_BTL, mask_BT)
        else:
            words_BTL = words_BTL * mask_BT[..., None]
        logits_BNT, deltas_BN4, centerness_BN = self.head(levels, words_BTL)
        sizes = tuple((x.shape[-2], x.shape[-1]) for x in levels)
        anchors_N4 = make_anchors(
            sizes,
            self.config.strides,
            logits_BNT.device,
            anchor_scale=self.config.anchor_scale,
        )
        return GlipOutput(logits_BNT, deltas_BN4, centerness_BN, anchors_N4, sizes)

    def forward(
        self, pixels_B3HW: Tensor, tokens: TokenBatch, sizes_B2: Tensor | None = None
    ) -> GlipOutput:
        """Image and text to raw predictions for every position.

        Args:
            pixels_B3HW: Normalised, padded to a multiple of `config.size_divisor`.
            tokens: A text for each image.
            sizes_B2: (height, width) of each image inside the padding; read, and needed, where
                `config.mask_padding` is set.
        """
        if not self.config.mask_padding:
            return self.predict(self.encode_image(pixels_B3HW), self.encode_text(tokens))
        if sizes_B2 is None:
            raise ValueError("this network has mask_padding: give it sizes_B2 as well")
        return self._forward_each_size(pixels_B3HW, self.encode_text(tokens), sizes_B2)

    def _forward_each_size(
        self, pixels_B3HW: Tensor, text: TextFeatures, sizes_B2: Tensor
    ) -> GlipOutput:
        """Images of one size at a time, as if no larger one were in the batch."""
        height, width = pixels_B3HW.shape[-2:]
        full = level_sizes(height, width, len(self.config.strides))
        step = self.config.size_divisor
        own = [tuple(-(-side // step) * step for side in size) for size in sizes_B2.tolist()]
        rows: list[Tensor] = []
        outputs: list[GlipOutput] = []
        for height, width in sorted(set(own)):
            row = torch.tensor([n for n, size in enumerate(own) if size == (height, width)])
            row = row.to(pixels_B3HW.device)
            features = TextFeatures(*(part[row] for part in text))
            levels = self.encode_image(pixels_B3HW[row, :, :height, :width])
            rows.append(row)
            outputs.append(_in_larger_maps(self.predict(levels, features), full))
        order = torch.cat(rows).argsort()
        logits_BNT, deltas_BN4, centerness_BN = (
            torch.cat(parts)[order]
            for parts in zip(*(output[:3] for output in outputs), strict=True)
        )
        anchors_N4 = make_anchors(
            full, self.config.strides, logits_BNT.device, anchor_scale=self.config.anchor_scale
        )
        return GlipOutput(logits_BNT, deltas_BN4, centerness_BN, anchors_N4, full)

    def _run(self, layer: Any, *inputs: Any) -> Any:
        if self.config.checkpoint_activations and self.training:
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)


def level_sizes(height: int, width: int, num_levels: int) -> tuple[tuple[int, int], ...]:
    """(height, width) of each level for an input of this size, finest first."""
    sizes = [(-(-height // 8), -(-width // 8))]
    while len(sizes) < num_levels:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return tuple(sizes)


def _in_larger_maps(output: GlipOutput, sizes: tuple[tuple[int, int], ...]) -> GlipOutput:
    """The same values at the top left of larger maps; nothing is found beside them."""
    counts = [height * width for height, width in output.level_sizes]

    def enlarge(x_BNC: Tensor, value: float) -> Tensor:
        parts = []
        for part, old, new in zip(
            x_BNC.split(counts, dim=1), output.level_sizes, sizes, strict=True
        ):
            map_BHWC = part.unflatten(1, old)
            padding = (0, 0, 0, new[1] - old[1], 0, new[0] - old[0])
            parts.append(F.pad(map_BHWC, padding, value=value).flatten(1, 2))
        return torch.cat(parts, dim=1)

    return output._replace(
        logits_BNT=enlarge(output.logits_BNT, NOTHING),
        box_deltas_BN4=enlarge(output.box_deltas_BN4, 0.0),
        centerness_BN=enlarge(output.centerness_BN[..., None], NOTHING).squeeze(-1),
    )
