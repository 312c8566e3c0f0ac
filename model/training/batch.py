"""Examples to tensors: pixels, word pieces, and what each image should teach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.losses import GroundingTarget
from model.outputs import TokenBatch


class TrainBatch(NamedTuple):
    """One forward pass.

    images_B3HW: normalised and padded, as the network takes them.
    tokens: the prompts, padded to the longest of the batch.
    text_mask_BT: 1 on the text positions that count in the loss.
    drops: Boxes and spans that were given up, by reason.
    """

    images_B3HW: Tensor
    tokens: TokenBatch
    targets: Sequence[GroundingTarget]
    text_mask_BT: Tensor
    sample_ids: tuple[str, ...]
    drops: Counter[str]

    def to(self, device: torch.device) -> TrainBatch:
        """The same batch on `device`."""
        if device.type == "cpu":
            return self
        return self._replace(
            images_B3HW=self.images_B3HW.to(device, non_blocking=True),
            tokens=TokenBatch(*(tensor.to(device, non_blocking=True) for tensor in self.tokens)),
            targets=[target.to(device) for target in self.targets],
            text_mask_BT=self.text_mask_BT.to(device, non_blocking=True),
        )
