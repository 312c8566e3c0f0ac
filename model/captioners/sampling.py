"""Drawing words with a seed of each image's own, so that no image depends on its batch.

transformers draws for all of a batch from one generator: another batch, other captions. Here the
random numbers of a row come from the image, the number of the caption and the seed; transformers is
then left with a single word to choose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor


def uniforms(pixels: Tensor, *, seed: int, captions: int, steps: int) -> Tensor:
    """Random numbers [captions, steps] in [0, 1) of one image.

    pixels: what the network sees of the image, on the CPU.
    """
    data = pixels.float().contiguous().numpy().tobytes()
    rows = []
    for number in range(captions):
        digest = hashlib.sha256(f"{seed} {number} ".encode() + data).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        rows.append(torch.rand(steps, generator=generator))
    return torch.stack(rows)


class FiniteScores(LogitsProcessor):
    """Finds the rows whose scores are no numbers: the likeliest word of NaN is a word like any
    other, and drawing one from NaN ends a CUDA process. They go on with zeros."""

    def __init__(self) -> None:
        self._broken: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, with zeros in the rows that are broken."""
        highest = scores.amax(-1)  # NaN where any is
        broken = ~highest.isfinite()
        self._broken = broken.any() if self._broken is None else self._broken | broken.any()
        return scores.masked_fill(broken[:, None], 0.0)

    @property
    def found_any(self) -> bool:
        """Whether any row of any step was broken."""
        return self._broken is not None and bool(self._broken)


class SeededNucleus(LogitsProcessor):
    """Nucleus sampling (Holtzman et al. 2020) by inverting the cumulative probability.

    Args:
        rows: random numbers [rows of the batch, steps], see `uniforms`.
        top_p: words are drawn among the likeliest that hold so much probability together.
        temperature: divides the scores first.
    """

    def __init__(self, rows: Sequence[Tensor], *, top_p: float, temperature: float) -> None:
        self._uniforms = torch.cat(list(rows))
        self._top_p, self._temperature = top_p, temperature
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores that leave one word in each row."""
        probability, order = (scores.float() / self._temperature).softmax(-1).sort(-1, True)
        before = probability.cumsum(-1) - probability
        mass = probability.masked_fill(before >= self._top_p, 0.0).cumsum(-1)
        drawn = self._uniforms[:, self._step, None].to(mass) * mass[:, -1:]
        self._step += 1
        # A place may not be beyond the last word that counts, however the sum was rounded.
        last = (before < self._top_p).sum(-1, keepdim=True) - 1
        place = torch.minimum(torch.searchsorted(mass, drawn, right=True), last)
        return torch.full_like(scores, -torch.inf).scatter(-1, order.gather(-1, place), 0.0)
