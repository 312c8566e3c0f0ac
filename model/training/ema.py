"""A running average of the weights; usually the better model to keep."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of the trained parameters and of the statistics of batch norms.

    Frozen parameters and other buffers are the live ones.

    Args:
        model: Whose weights are averaged.
        decay: Share of the old average that stays at each step, in [0, 1).
        ramp: With True the decay starts low, `(1 + n) / (10 + n)` after n updates, so that the
            random start is forgotten quickly; with False it is the reference's constant.
    """

    def __init__(self, model: nn.Module, decay: float, *, ramp: bool = True) -> None:
        self.decay = decay
        self.ramp = ramp
        self.updates = 0
        self._live: dict[str, Tensor] = {
            n: p for n, p in model.named_parameters() if p.requires_grad
        }
        # Statistics of batch norms follow the weights that they were counted with.
        self._live |= {
            n: b for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))
        }
        self._shadow = {n: p.detach().clone() for n, p in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the current weights in."""
        decay = self.decay
        if self.ramp:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        live = [parameter.detach() for parameter in self._live.values()]
        torch._foreach_lerp_(list(self._shadow.values()), live, 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averages and the live weights; twice restores both."""
        for name, live in self._live.items():
            kept = live.detach().clone()
            live.copy_(self._shadow[name])
            self._shadow[name].copy_(kept)

    def state_dict(self) -> dict[str, object]:
        """Averages by parameter name, and the number of updates."""
        return {"updates": self.updates, "weights": dict(self._shadow)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue from `state_dict()`.

        Raises:
            KeyError: the averages are of other parameters.
        """
        weights = state["weights"]
        assert isinstance(weights, Mapping)
        if weights.keys() != self._shadow.keys():
            odd = sorted(weights.keys() ^ self._shadow.keys())
            raise KeyError(f"the averaged weights are of other parameters, first: {odd[0]!r}")
        updates = state["updates"]
        assert isinstance(updates, int)
        self.updates = updates
        for name, value in weights.items():
            _copy(self._shadow[name], value)


def _copy(target: Tensor, value: Tensor) -> None:
    target.copy_(value)
