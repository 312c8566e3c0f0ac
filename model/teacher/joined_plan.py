"""Several captions as one plan: the image is computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class JoinedPlan:
    """All prompts of several captions; targets count through all of their phrases."""

    prompts: tuple[Any, ...]
    not_seen: tuple[int, ...]


def join_plans(plans: Sequence[Any], sizes: Sequence[int]) -> JoinedPlan:
    """The prompts of all plans, each still read alone.

    Args:
        plans: one for each caption.
        sizes: how many phrases each caption asks for.
    """
    prompts: list[Any] = []
    not_seen: list[int] = []
    first = 0
    for plan, size in zip(plans, sizes, strict=True):
        prompts += [
            replace(prompt, targets=tuple(first + target for target in prompt.targets))
            for prompt in plan.prompts
        ]
        not_seen += [first + index for index in plan.not_seen]
        first += size
    return JoinedPlan(tuple(prompts), tuple(not_seen))
