"""What a training run is, apart from its data and its network."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.training.checkpoint import KeepPolicy
from model.training.optimizer import OptimizerOptions
from model.training.precision import PrecisionName
from model.training.schedule import ScheduleOptions
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The loop's numbers. Two runs with equal options and data give equal weights.

    How a batch is divided among workers and micro-batches changes the weights by rounding only,
    but for networks with batch norms that are trained (glip-nano, a ResNet backbone): those see
    the statistics of each worker's micro-batch, so there the division decides as well.
    """

    steps: int
    """Optimiser steps of the whole run."""
    batch_size: int = 64
    """Images of one optimiser step, over all workers."""
    accumulate: int = 1
    """Forward passes of each worker for one step; the batch is split into so many parts. A batch
    norm sees one part at a time."""
    seed: int = 0
    precision: PrecisionName = "fp32"
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    ema_decay: float = 0.999
    """0: no average is kept."""
    ema_ramp: bool = True
    """Let the decay start low, so that the random start is forgotten quickly."""
    recompute: bool = True
    """Compute attention scores and samples again in the backward pass: the same weights in a third
    less memory for activations; False is faster, by a seventh for glip-nano."""
    activation_checkpointing: tuple[str, ...] = ()
    """Shell patterns of modules whose activations are computed again in the backward pass, as
    tower.*: less memory, more time, the same weights."""
    log_every: int = 20
    """Steps between two lines of the log."""
    checkpoint_every: int = 500
    """Steps between two checkpoints; one is also written at the end."""
    evaluate_every: int = 0
    """Steps between two evaluations; 0: only at the end."""
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    explode_factor: float = 20.0
    """Stop if the loss is so many times its running mean; 0: never."""
    max_unreadable: float = 0.01
    """Share of the images (of the first thousand at least) that may be unreadable; more stop the
    run."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "log_every", "checkpoint_every"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"train.{name} must be >= 1, got {value}")
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"train.batch_size {self.batch_size} is not a multiple of "
                f"train.accumulate {self.accumulate}"
            )
        for name in ("seed", "evaluate_every", "explode_factor"):
            value = getattr(self, name)
            if not value >= 0:
                raise ConfigError(f"train.{name} must be >= 0, got {value}")
        if not 0.0 <= self.max_unreadable <= 1.0:
            raise ConfigError(f"train.max_unreadable must be in [0, 1], got {self.max_unreadable}")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigError(f"train.ema_decay must be in [0, 1), got {self.ema_decay}")
