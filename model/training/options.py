"""What a training run is, apart from its data and its network."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import Field

from model.training.checkpoint import KeepPolicy
from model.training.optimizer import OptimizerOptions
from model.training.precision import PrecisionName
from model.training.schedule import ScheduleOptions
from schemas.checked import Count, CountOrZero, NotNegative, Share, checked


@checked(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The loop's numbers. Two runs with equal options and data give equal weights.

    How a batch is divided among workers and micro-batches changes the weights by rounding only,
    but for networks with batch norms that are trained (glip-nano, a ResNet backbone): those see
    the statistics of each worker's micro-batch, so there the division decides as well.
    """

    steps: Count
    """Optimiser steps of the whole run."""
    batch_size: Count = 64
    """Images of one optimiser step, over all workers."""
    accumulate: Count = 1
    """Forward passes of each worker for one step; the batch is split into so many parts. A batch
    norm sees one part at a time."""
    seed: CountOrZero = 0
    precision: PrecisionName = "fp32"
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """0: no average is kept."""
    ema_ramp: bool = True
    """Let the decay start low, so that the random start is forgotten quickly."""
    recompute: bool = True
    """Compute attention scores and samples again in the backward pass: the same weights in a third
    less memory for activations; False is faster, by a seventh for glip-nano."""
    activation_checkpointing: tuple[str, ...] = ()
    """Shell patterns of modules whose activations are computed again in the backward pass, as
    tower.*: less memory, more time, the same weights."""
    log_every: Count = 20
    """Steps between two lines of the log."""
    checkpoint_every: Count = 500
    """Steps between two checkpoints; one is also written at the end."""
    evaluate_every: CountOrZero = 0
    """Steps between two evaluations; 0: only at the end."""
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    explode_factor: NotNegative = 20.0
    """Stop if the loss is so many times its running mean; 0: never."""
    max_unreadable: Share = 0.01
    """Share of the images (of the first thousand at least) that may be unreadable; more stop the
    run."""

    def __post_init__(self) -> None:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of accumulate {self.accumulate}"
            )
