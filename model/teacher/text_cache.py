"""Text features of prompts, computed once for each distinct prompt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inputs.prompts import Prompt
from model.inputs.tokenizer import MAX_TOKENS, GlipTokenizer
from model.outputs import TextFeatures, TokenBatch


class TextCache:
    """The last prompts' features, least recently used first out.

    Args:
        encode: The network's text encoder.
        tokenizer: Makes the batches.
        device: Where the token ids go.
        capacity: Prompts kept; each takes T x 768 numbers.
        max_tokens: Text positions of the model.
    """

    def __init__(
        self,
        encode: Callable[[TokenBatch], TextFeatures],
        tokenizer: GlipTokenizer,
        device: torch.device | str,
        capacity: int = 256,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self._encode = encode
        self._tokenizer = tokenizer
        self._device = device
        self._capacity = capacity
        self._max_tokens = max_tokens
        self._rows: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()

    def features(self, prompts: Sequence[Prompt]) -> TextFeatures:
        """Features of a batch of prompts, padded with zeros to the longest of them."""
        keys = [
            self._tokenizer.truncated_ids(prompt.tokenized, self._max_tokens) for prompt in prompts
        ]
        # Held here as well, so that a small capacity cannot drop a row of this very batch.
        rows = {key: self._rows[key] for key in keys if key in self._rows}
        fresh = {
            key: prompt.tokenized
            for key, prompt in zip(keys, prompts, strict=True)
            if key not in rows
        }
        if fresh:
            batch = self._tokenizer.batch(list(fresh.values()), max_tokens=self._max_tokens)
            batch = TokenBatch(*(tensor.to(self._device) for tensor in batch))
            hidden_BTC = self._encode(batch).hidden_BTC
            for number, key in enumerate(fresh):
                rows[key] = hidden_BTC[number, : len(key)].clone()
        for key in keys:
            self._rows[key] = rows[key]
            self._rows.move_to_end(key)
        while len(self._rows) > self._capacity:
            self._rows.popitem(last=False)
        longest = max(map(len, keys))
        hidden = [F.pad(rows[key], (0, 0, 0, longest - len(key))) for key in keys]
        mask = [[place < len(key) for place in range(longest)] for key in keys]
        return TextFeatures(torch.stack(hidden), torch.tensor(mask, device=self._device).long())
