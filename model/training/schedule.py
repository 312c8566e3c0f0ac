"""The learning rate as a pure function of the step, so that nothing has to be restored."""

from __future__ import annotations

import math
from typing import Literal

from schemas.checked import CountOrZero, checked

WARMUP_FACTOR = 0.001


@checked(frozen=True, slots=True, kw_only=True)
class ScheduleOptions:
    """Warm-up, then a constant, stepped or cosine rate."""

    kind: Literal["steps", "cosine", "constant"] = "steps"
    warmup_steps: CountOrZero = 2000
    """Steps of linear warm-up from a thousandth of the rate."""
    milestones: tuple[float, ...] = (0.67, 0.89)
    """`steps`: shares of the run after which the rate is multiplied by `gamma`."""
    gamma: float = 0.1
    final_share: float = 0.01
    """`cosine`: what is left of the rate at the end."""

    def __post_init__(self) -> None:
        if list(self.milestones) != sorted(self.milestones) or not all(
            0.0 < milestone <= 1.0 for milestone in self.milestones
        ):
            raise ValueError(f"milestones must rise and lie in (0, 1], got {self.milestones}")


def rate_factor(options: ScheduleOptions, step: int, total_steps: int) -> float:
    """Factor on every group's base rate at `step` (from 0) of `total_steps`.

    `steps` is the reference's warm-up multi-step rule: milestones at `int(share x total_steps)`,
    warm-up factor `0.001 (1 - a) + a` with `a = step / warmup_steps`.
    """
    factor = 1.0
    if options.kind == "steps":
        passed = sum(step >= int(share * total_steps) for share in options.milestones)
        factor = options.gamma**passed
    elif options.kind == "cosine":
        length = max(1, total_steps - options.warmup_steps)
        done = min(1.0, max(0, step - options.warmup_steps) / length)
        low = options.final_share
        factor = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))
    if step < options.warmup_steps:
        alpha = step / options.warmup_steps
        factor *= WARMUP_FACTOR * (1 - alpha) + alpha
    return factor
