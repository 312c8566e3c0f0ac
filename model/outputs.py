"""What flows through the network: token batches in, head outputs out.

B images, N positions over all levels (row-major, finest level first), T text positions.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TokenBatch(NamedTuple):
    """Word pieces of B captions; [CLS] stands at position 0, padding is 0 in the mask."""

    input_ids_BT: Tensor  # int64
    attention_mask_BT: Tensor  # int64, 1 on [CLS], words and [SEP]


class TextFeatures(NamedTuple):
    """The text encoder's last layer, not yet masked."""

    hidden_BTC: Tensor
    attention_mask_BT: Tensor


class GlipOutput(NamedTuple):
    """Raw head outputs of one forward pass; formulas in `model/network/head.py`."""

    logits_BNT: Tensor  # word-region alignment logits
    box_deltas_BN4: Tensor  # encoded against `anchors_N4`, level scale applied
    centerness_BN: Tensor  # logits
    anchors_N4: Tensor  # network-input pixels, the coder's +1 convention
    level_sizes: tuple[tuple[int, int], ...]  # (height, width) of each level, finest first
