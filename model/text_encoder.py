"""The text encoder: transformers' BERT without its pooler, built from sizes, never downloaded."""

from __future__ import annotations

import torch
from torch import nn
from transformers import BertConfig, BertModel

from model.config import TextConfig
from model.outputs import TextFeatures, TokenBatch


def bert_config(text: TextConfig) -> BertConfig:
    """transformers' configuration for our sizes."""
    return BertConfig(
        vocab_size=text.vocab_size,
        hidden_size=text.hidden_size,
        num_hidden_layers=text.num_layers,
        num_attention_heads=text.num_heads,
        intermediate_size=text.intermediate_size,
        max_position_embeddings=text.max_positions,
        hidden_dropout_prob=text.dropout,
        attention_probs_dropout_prob=text.dropout,
        attn_implementation="sdpa",  # type: ignore[call-arg]
    )


class TextEncoder(nn.Module):
    """BERT's last layer for word pieces."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.bert = BertModel(bert_config(text), add_pooling_layer=False)
        self.tuned = (
            nn.Parameter(torch.zeros(text.tuned_positions, text.hidden_size))
            if text.tuned_positions
            else None
        )

    def forward(self, tokens: TokenBatch) -> TextFeatures:
        """Hidden states [B, T, C]; rows of padding hold values that nothing may read."""
        output = self.bert(input_ids=tokens.input_ids_BT, attention_mask=tokens.attention_mask_BT)
        hidden_BTC = output.last_hidden_state
        if self.tuned is not None:
            hidden_BTC = hidden_BTC + self.tuned[: hidden_BTC.shape[1]]
        return TextFeatures(hidden_BTC, tokens.attention_mask_BT)
