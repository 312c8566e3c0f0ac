"""The smallest network that has what the loop needs, and batches for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.losses.glip_loss import GroundingTarget
from model.outputs import GlipOutput, TokenBatch
from model.training.batch import TrainBatch

SIDE, STRIDE, VOCABULARY, TOKENS = 32, 8, 12, 6


def grid(height: int, width: int) -> tuple[Tensor, tuple[tuple[int, int], ...]]:
    """Square anchors of two strides on one level."""
    rows, columns = height // STRIDE, width // STRIDE
    ys, xs = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centers = torch.stack([xs, ys], -1).reshape(-1, 2).float() * STRIDE + STRIDE / 2
    return torch.cat([centers - STRIDE, centers + STRIDE], 1), ((rows, columns),)


class TinyGlip(nn.Module):
    """Patches times word embeddings; dropout so that random states matter."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 16, STRIDE, STRIDE)
        self.text_encoder = nn.Embedding(VOCABULARY, 16)
        self.dropout = nn.Dropout(dropout)
        self.boxes = nn.Linear(16, 5)

    def forward(self, images_B3HW: Tensor, tokens: TokenBatch) -> GlipOutput:
        features = self.backbone(images_B3HW).flatten(2).transpose(1, 2)
        features = self.dropout(torch.relu(features))
        words = self.text_encoder(tokens.input_ids_BT)
        anchors, sizes = grid(*images_B3HW.shape[-2:])
        heads = self.boxes(features)
        return GlipOutput(
            features @ words.transpose(1, 2) - 2.0,
            heads[..., :4],
            heads[..., 4],
            anchors,
            sizes,
        )


def make_batch(positions: Sequence[int]) -> TrainBatch:
    """One coloured square per image, whose colour is its word."""
    images, ids, targets = [], [], []
    for position in positions:
        rng = np.random.default_rng(position)
        color = int(rng.integers(3))
        x, y = rng.integers(0, 14, 2)
        image = torch.zeros(3, SIDE, SIDE)
        image[color, y : y + 18, x : x + 18] = 1.0
        words = torch.as_tensor(rng.permutation(3) + 1)
        row = torch.zeros(TOKENS, dtype=torch.int64)
        row[1:4] = words
        positive = torch.zeros(1, TOKENS)
        positive[0, 1 + int((words == color + 1).nonzero())] = 1.0
        box = torch.tensor([[float(x), float(y), float(x + 18), float(y + 18)]])
        images.append(image)
        ids.append(row)
        targets.append(GroundingTarget(box, positive))
    mask = torch.ones(len(positions), TOKENS, dtype=torch.int64)
    return TrainBatch(
        images=torch.stack(images),
        tokens=TokenBatch(torch.stack(ids), mask),
        targets=targets,
        text_mask_BT=mask,
        sample_ids=tuple(f"p{position}" for position in positions),
        drops=Counter(),
    )
