"""BERT (Devlin et al. 2018) with its published parameter names: the text encoder's body, and the
layer that each step of the fused tower gives the words.

B captions, T word pieces, L channels, H attention heads.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import TextConfig

LAYER_NORM_EPS = 1e-12
INITIAL_STD = 0.02
NUM_SEGMENTS = 2
"""Rows of the segment embedding; only the first is ever read here."""


class BertModel(nn.Module):
    """Word pieces to hidden states."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(text)
        self.encoder = BertEncoder(text)

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """The last layer [B, T, L]; rows of padding hold values that nothing may read."""
        return self.encoder(self.embeddings(input_ids_BT), attention_mask_BT)


class BertEmbeddings(nn.Module):
    """Words, places and the one segment, summed and normalised."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(text.vocab_size, text.hidden_size)
        self.position_embeddings = nn.Embedding(text.max_positions, text.hidden_size)
        self.token_type_embeddings = nn.Embedding(NUM_SEGMENTS, text.hidden_size)
        self.LayerNorm = nn.LayerNorm(text.hidden_size, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(text.dropout)
        for table in (self.word_embeddings, self.position_embeddings, self.token_type_embeddings):
            nn.init.normal_(table.weight, std=INITIAL_STD)

    def forward(self, input_ids_BT: Tensor) -> Tensor:
        """[B, T, L]"""
        places_TL = self.position_embeddings.weight[: input_ids_BT.shape[1]]
        x_BTL = self.word_embeddings(input_ids_BT) + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(x_BTL + places_TL))


class BertEncoder(nn.Module):
    """The layers, one after the other."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(text) for _ in range(text.num_layers))

    def forward(self, x_BTL: Tensor, mask_BT: Tensor) -> Tensor:
        """Same shape."""
        for layer in self.layer:
            x_BTL = layer(x_BTL, mask_BT)
        return x_BTL


class BertLayer(nn.Module):
    """Attention among the words, then two linear layers at each; normalised after each sum."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.attention = BertAttention(text)
        self.intermediate = nn.ModuleDict(
            {"dense": _linear(text.hidden_size, text.intermediate_size)}
        )
        self.output = BertSum(text.intermediate_size, text)

    def forward(self, x_BTL: Tensor, mask_BT: Tensor) -> Tensor:
        """Same shape. mask_BT: 1 on words that may be read."""
        x_BTL = self.attention(x_BTL, mask_BT)
        return self.output(F.gelu(self.intermediate["dense"](x_BTL)), x_BTL)


class BertAttention(nn.Module):
    """Attention with its projection and sum."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.self = BertSelfAttention(text)
        self.output = BertSum(text.hidden_size, text)

    def forward(self, x_BTL: Tensor, mask_BT: Tensor) -> Tensor:
        """Same shape."""
        return self.output(self.self(x_BTL, mask_BT), x_BTL)


class BertSelfAttention(nn.Module):
    """Each word's average over all words that are not padding."""

    def __init__(self, text: TextConfig) -> None:
        super().__init__()
        self.num_heads = text.num_heads
        self.dropout = text.dropout
        self.query = _linear(text.hidden_size, text.hidden_size)
        self.key = _linear(text.hidden_size, text.hidden_size)
        self.value = _linear(text.hidden_size, text.hidden_size)

    def forward(self, x_BTL: Tensor, mask_BT: Tensor) -> Tensor:
        """Same shape."""
        query, key, value = (
            project(x_BTL).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        y_BHTD = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask_BT[:, None, None] > 0,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return y_BHTD.transpose(1, 2).flatten(2)


class BertSum(nn.Module):
    """A linear layer whose output is added to what came before it, then normalised."""

    def __init__(self, in_channels: int, text: TextConfig) -> None:
        super().__init__()
        self.dense = _linear(in_channels, text.hidden_size)
        self.LayerNorm = nn.LayerNorm(text.hidden_size, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(text.dropout)

    def forward(self, y: Tensor, x_BTL: Tensor) -> Tensor:
        """[B, T, L]"""
        return self.LayerNorm(self.dropout(self.dense(y)) + x_BTL)


def _linear(in_channels: int, out_channels: int) -> nn.Linear:
    linear = nn.Linear(in_channels, out_channels)
    nn.init.normal_(linear.weight, std=INITIAL_STD)
    nn.init.zeros_(linear.bias)
    return linear
