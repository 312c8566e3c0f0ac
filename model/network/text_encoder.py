"""The text encoder: BERT without its pooler, built from sizes, never downloaded."""

from __future__ import annotations

import torch
from torch import nn

from model.config import TextConfig
from model.network.bert import BertModel
from model.outputs import TextFeatures, TokenBatch


class TextEncoder(nn.Module):
    """BERT's last layer for word pieces."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.bert = BertModel(text)
        self.tuned = (
            nn.Parameter(torch.zeros(text.tuned_positions, text.hidden_size))
            if text.tuned_positions
            else None
        )

    def forward(self, tokens: TokenBatch) -> TextFeatures:
        """Hidden states [B, T, C]; rows of padding hold values that nothing may read."""
        hidden_BTC = self.bert(tokens.input_ids_BT, tokens.attention_mask_BT)
        if self.tuned is not None:
            hidden_BTC = hidden_BTC + self.tuned[: hidden_BTC.shape[1]]
        return TextFeatures(hidden_BTC, tokens.attention_mask_BT)
