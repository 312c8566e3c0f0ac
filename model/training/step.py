"""One optimiser step: forward, losses, backward, the check, and the move of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from model.losses.glip_loss import AssignedBatch, GlipLoss, LossParts
from model.network.recompute import set_recomputes
from model.training.batch import TrainBatch
from model.training.divergence import DivergenceWatch
from model.training.ema import WeightAverage
from model.training.exchange import Exchange
from model.training.optimizer import build_optimizer, set_rates, trainable
from model.training.options import TrainOptions
from model.training.precision import Precision
from model.training.recompute import recompute_activations
from model.training.schedule import rate_factor
from model.training.workers import Workers

Grid = Callable[[int, int], tuple[Tensor, tuple[tuple[int, int], ...]]]
"""(height, width) of a padded batch -> anchors [N, 4] and the (height, width) of each level."""


class TrainStep:
    """Everything that changes from step to step, and the change.

    Args:
        model: Its parameters are trained in place.
        loss: The three losses.
        grid: The anchors of a batch's size, known before the forward pass.
        options: The loop's numbers.
        directory: Where a divergence is written down.
        device: Where the model is.
        workers: This process among all.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        loss: GlipLoss,
        grid: Grid,
        options: TrainOptions,
        directory: Path,
        device: torch.device,
        workers: Workers,
    ) -> None:
        self.model = model
        self.options = options
        self.device = device
        self.workers = workers
        self._loss = loss
        self._grid = grid
        set_recomputes(model, options.recompute)
        recompute_activations(model, options.activation_checkpointing)
        self._precision = Precision(options.precision, device.type)
        self._scaler = self._precision.scaler()
        self.optimizer = build_optimizer(model, options.optimizer)
        self._parameters = trainable(self.optimizer)
        self._frozen_norms = frozen_norms(model, self._parameters)
        self._exchange = Exchange(model, workers)
        self.average = (
            WeightAverage(model, options.ema_decay, ramp=options.ema_ramp)
            if options.ema_decay
            else None
        )
        self._watch = DivergenceWatch(
            directory, rank=workers.rank, explode_factor=options.explode_factor
        )

    def __call__(
        self, step: int, micro_batches: Sequence[TrainBatch]
    ) -> tuple[dict[str, float], float]:
        """Take one step.

        Args:
            step: From 0; decides the rate and the random numbers.
            micro_batches: This worker's part of the batch.

        Returns:
            The parts of the whole batch's loss, and the gradient's norm before clipping.

        Raises:
            DivergenceError: the weights are then those before the step.
        """
        options = self.options
        batches = [batch.to(self.device) for batch in micro_batches]
        assigned = [
            self._loss.assign(*self._grid(*batch.images_B3HW.shape[-2:]), batch.targets)
            for batch in batches
        ]
        # Over all workers and micro-batches, so that the step's loss is that of the whole batch.
        normalizers = self.workers.sum(_sum(self._loss.normalizers(a) for a in assigned))
        self.optimizer.zero_grad(set_to_none=True)
        totals: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            self._seed(step, number)
            with self._exchange.during(is_last=number == len(batches) - 1):
                parts = self._loss_of(batch, assigned[number], normalizers)
                self._scaler.scale(parts.total).backward()
            for name, value in parts.named().items():
                totals[name] = totals.get(name, 0) + value.detach()
        self._scaler.unscale_(self.optimizer)
        limit = options.optimizer.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, limit)
        # One transfer for all numbers of the step.
        numbers = torch.cat([self.workers.sum(torch.stack(list(totals.values()))), norm[None]])
        *values, gradient_norm = numbers.tolist()
        losses = dict(zip(totals, values, strict=True))
        ids = [sample_id for batch in micro_batches for sample_id in batch.sample_ids]
        self._watch.check(step, losses, gradient_norm, ids, scaled=options.precision == "fp16")
        set_rates(self.optimizer, rate_factor(options.schedule, step, options.steps))
        self._scaler.step(self.optimizer)
        self._scaler.update()
        if self.average is not None:
            self.average.update()
        return losses, gradient_norm

    def _loss_of(
        self, batch: TrainBatch, assigned: AssignedBatch, normalizers: Tensor
    ) -> LossParts:
        with self._precision.autocast():
            sizes = () if batch.sizes_B2 is None else (batch.sizes_B2,)
            output = self._exchange.forward(batch.images_B3HW, batch.tokens, *sizes)
        if output.level_sizes != self._grid(*batch.images_B3HW.shape[-2:])[1]:
            raise ValueError(f"the grid does not have the levels {output.level_sizes}")
        return self._loss(
            output, batch.targets, batch.text_mask_BT, normalizers=normalizers, assigned=assigned
        )

    def _seed(self, step: int, micro_batch: int) -> None:
        # Dropout is a function of the place in the run: a resume needs no stored random state.
        place = (step * 4096 + self.workers.rank) * 256 + micro_batch
        torch.manual_seed((self.options.seed * 0x9E3779B97F4A7C15 + place) % 2**63)

    def about_norms(self) -> str:
        """A sentence where batch norms see less than the batch; empty where they do not."""
        count = len(batch_norms(self.model)) - len(self._frozen_norms)
        parts = self.workers.world_size * self.options.accumulate
        if count == 0 or parts == 1:
            return ""
        batch = self.options.batch_size
        return (
            f"{count} batch norms are trained: each sees the statistics of {batch // parts} "
            f"images, a worker's part of a forward pass, not of the {batch} of a step. Resume with "
            "as many workers; fewer, or no train.accumulate, give them more images"
        )

    def train_mode(self) -> None:
        """Make the model ready to train; batch norms that are not trained stay as they are."""
        self.model.train()
        for norm in self._frozen_norms:
            norm.eval()

    def averaged(self) -> Averaged:
        """A context in which the model is in eval mode and holds the averaged weights."""
        return Averaged(self.model, self.average, self.train_mode)

    def state_dict(self) -> dict[str, object]:
        """All that a checkpoint needs of a step."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "mean_loss": self._watch.mean_loss,
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state_dict()`."""
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._watch.mean_loss = state["mean_loss"]


class Averaged:
    """Swaps the averaged weights in on entry and out on exit, which calls `train_mode`."""

    def __init__(
        self, model: nn.Module, average: WeightAverage | None, train_mode: Callable[[], None]
    ) -> None:
        self._model = model
        self._average = average
        self._train_mode = train_mode

    def __enter__(self) -> nn.Module:
        if self._average is not None:
            self._average.swap()
        self._model.eval()
        return self._model

    def __exit__(self, *_: object) -> None:
        if self._average is not None:
            self._average.swap()
        self._train_mode()


def frozen_norms(model: nn.Module, trained: Sequence[Tensor]) -> list[nn.Module]:
    """The batch norms of which nothing is trained: counting statistics would change them too."""
    moved = {id(parameter) for parameter in trained}
    return [
        norm
        for norm in batch_norms(model)
        if norm.affine and not any(id(parameter) in moved for parameter in norm.parameters())
    ]


def batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """All of them, trained or not."""
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def _sum(values: Iterable[Tensor]) -> Tensor:
    first, *others = values
    for value in others:
        first = first + value
    return first
