"""AdamW with the reference's rates and decays for each tensor, merged into a few groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from schemas.checked import NotNegative, checked
from schemas.errors import ConfigError

Beta = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@checked(frozen=True, slots=True, kw_only=True)
class RateRule:
    """What parameters of a matching name get; every rule that matches is applied, in order."""

    pattern: str
    """Shell pattern on the parameter's name: `*` matches dots as well."""
    rate: NotNegative = 1.0
    """Factor on the learning rate; 0 freezes."""
    decay: NotNegative = 1.0
    """Factor on the weight decay."""


@checked(frozen=True, slots=True, kw_only=True)
class OptimizerOptions:
    """AdamW and what each parameter gets of it."""

    rate: Rate = 1e-4
    weight_decay: NotNegative = 1e-4
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    rules: tuple[RateRule, ...] = (
        RateRule(pattern="text_encoder.*", rate=0.1),
        RateRule(pattern="*bias*", rate=2.0, decay=0.0),
    )
    """The reference: a tenth of the rate for the language backbone, twice the rate and no decay
    for everything with "bias" in its name."""
    only: tuple[str, ...] = ()
    """Shell patterns of the only parameters that are trained; empty: all that are not frozen."""
    clip_norm: NotNegative = 1.0
    """Largest L2 norm of the whole gradient; 0: not clipped."""


@dataclass(frozen=True, slots=True)
class ParameterPlan:
    """What the rules say about one parameter; a rate of 0 means frozen."""

    name: str
    rate: float
    decay: float


def plan_parameters(names: Iterable[str], options: OptimizerOptions) -> list[ParameterPlan]:
    """Rate and weight decay of every name.

    Raises:
        ConfigError: a rule, or a pattern of `only`, matches no parameter at all: a typing error
            would otherwise go unseen.
    """
    names = list(names)
    for number, pattern in enumerate(options.only):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"optimizer.only[{number}]: no parameter matches {pattern!r}; "
                f"names are like {names[0] if names else '(none)'!r}"
            )
    plans: list[ParameterPlan] = []
    used: set[int] = set()
    for name in names:
        rate, decay = options.rate, options.weight_decay
        for number, rule in enumerate(options.rules):
            if fnmatchcase(name, rule.pattern):
                used.add(number)
                rate *= rule.rate
                decay *= rule.decay
        if options.only and not any(fnmatchcase(name, pattern) for pattern in options.only):
            rate = 0.0
        plans.append(ParameterPlan(name, rate, decay))
    for number, rule in enumerate(options.rules):
        if number not in used:
            raise ConfigError(
                f"optimizer.rules[{number}]: no parameter matches {rule.pattern!r}; "
                f"names are like {plans[0].name if plans else '(none)'!r}"
            )
    return plans


def build_optimizer(model: nn.Module, options: OptimizerOptions) -> torch.optim.AdamW:
    """Freeze what the rules freeze, and put the rest into one group for each (rate, decay).

    Parameters that do not require a gradient already stay frozen. Every group carries its base
    rate as `base_rate`, which `set_rates` multiplies.
    """
    parameters = dict(model.named_parameters())
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for plan in plan_parameters(parameters, options):
        parameter = parameters[plan.name]
        if plan.rate == 0.0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            groups.setdefault((plan.rate, plan.decay), []).append(parameter)
    if not groups:
        raise ConfigError(
            "optimizer.rules and optimizer.only freeze every parameter: nothing would be trained"
        )
    return torch.optim.AdamW(
        [
            {"params": params, "lr": rate, "base_rate": rate, "weight_decay": decay}
            for (rate, decay), params in groups.items()
        ],
        lr=options.rate,
        betas=options.betas,
        eps=options.eps,
        fused=True,
    )


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Every group's rate becomes its base rate times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor


def trainable(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Every parameter that the optimiser moves, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
