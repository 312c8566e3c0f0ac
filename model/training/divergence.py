"""The end of a run that has gone wrong: what was seen, by which samples, written before leaving."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.training.checkpoint import CHECKPOINT_DIRECTORY, list_checkpoints
from schemas.errors import GlipforgeError


class DivergenceError(GlipforgeError):
    """A loss or a gradient is not finite, or the loss exploded."""


class DivergenceWatch:
    """Looks at every step; weights are never touched by a step that it refuses.

    Args:
        directory: Of the run: `divergence-<step>-worker<rank>.json` is written there, and its
            checkpoints are below.
        rank: Of this worker; every one writes the ids of its own part of the batch.
        explode_factor: The loss may be so many times its running mean; 0: any finite loss passes.
        grace_steps: Steps without the explosion check, while the mean settles.
        max_skips: fp16: steps in a row that the loss scaler may skip for an overflow.
    """

    def __init__(
        self,
        directory: Path,
        *,
        rank: int = 0,
        explode_factor: float = 20.0,
        grace_steps: int = 100,
        max_skips: int = 20,
    ) -> None:
        self._directory = directory
        self._rank = rank
        self._explode_factor = explode_factor
        self._grace_steps = grace_steps
        self._max_skips = max_skips
        self.mean_loss: float | None = None
        self._skips = 0

    def check(
        self,
        step: int,
        losses: Mapping[str, float],
        gradient_norm: float,
        sample_ids: Sequence[str],
        *,
        scaled: bool = False,
    ) -> None:
        """Pass, or write what is known and raise.

        Args:
            step: The step that would be taken.
            losses: The parts of the loss.
            gradient_norm: L2 norm before clipping.
            sample_ids: What the step was computed from.
            scaled: The gradient was scaled (fp16): its overflow is expected now and then, and the
                scaler skips the step.

        Raises:
            DivergenceError: with the name of the file that holds the sample ids.
        """
        total = sum(losses.values())
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        reason = ""
        if bad:
            reason = f"{', '.join(bad)} is not finite"
        elif not math.isfinite(gradient_norm):
            self._skips += 1
            if not scaled:
                reason = "the gradient is not finite"
            elif self._skips > self._max_skips:
                reason = f"the fp16 gradient overflowed {self._skips} times in a row"
        elif (
            self._explode_factor
            and self.mean_loss is not None
            and step >= self._grace_steps
            and total > self._explode_factor * self.mean_loss
        ):
            reason = f"the loss {total:.4g} is over {self._explode_factor:g} times its mean"
        if reason:
            self._stop(step, reason, losses, gradient_norm, sample_ids)
        if math.isfinite(gradient_norm):
            self._skips = 0
        mean = total if self.mean_loss is None else self.mean_loss
        self.mean_loss = 0.98 * mean + 0.02 * total

    def _stop(
        self,
        step: int,
        reason: str,
        losses: Mapping[str, float],
        gradient_norm: float,
        sample_ids: Sequence[str],
    ) -> None:
        path = self._directory / f"divergence-{step:09d}-worker{self._rank}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(
                {
                    "step": step,
                    "reason": reason,
                    "losses": {name: _text(value) for name, value in losses.items()},
                    "gradient_norm": _text(gradient_norm),
                    "mean_loss": None if self.mean_loss is None else _text(self.mean_loss),
                    "sample_ids": list(sample_ids),
                },
                indent=1,
            )
        )
        raise DivergenceError(
            f"training stopped at step {step}: {reason}; its {len(sample_ids)} sample ids are in "
            f"{path}. {self._last_checkpoint()}; lower the rate, lengthen the warm-up, or leave "
            "the samples out."
        )

    def _last_checkpoint(self) -> str:
        found = list_checkpoints(self._directory / CHECKPOINT_DIRECTORY)
        if not found:
            return "No checkpoint was written before"
        return f"The last checkpoint is that of step {found[-1][0]}"


def _text(value: float) -> float | str:
    # JSON has no word for infinity and NaN.
    return value if math.isfinite(value) else str(value)
