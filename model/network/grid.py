"""The anchors of a padded batch, known before the network has seen it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from model.config import GlipConfig
from model.network.anchors import make_anchors


class AnchorGrid:
    """Anchors and level sizes by (height, width) of the padded batch.

    Every level is the one before halved and rounded up, as stride-2 layers do.

    Args:
        config: Of the network.
        device: Where the anchors are used.
    """

    def __init__(self, config: GlipConfig, device: torch.device) -> None:
        self._config = config
        self._device = device
        self._anchors = lru_cache(maxsize=32)(self._make)

    def __call__(self, height: int, width: int) -> tuple[Tensor, tuple[tuple[int, int], ...]]:
        """Anchors [N, 4], inclusive, finest level first; (height, width) of each level."""
        return self._anchors(height, width)

    def _make(self, height: int, width: int) -> tuple[Tensor, tuple[tuple[int, int], ...]]:
        strides = self._config.strides
        sizes = tuple((-(-height // stride), -(-width // stride)) for stride in strides)
        anchors = make_anchors(sizes, strides, self._device, anchor_scale=self._config.anchor_scale)
        return anchors, sizes
