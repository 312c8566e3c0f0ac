"""The training loop: the same for one process and for many, for the first start and a resume."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from model.losses import GlipLoss
from model.training.batch import TrainBatch
from model.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from model.training.divergence import DivergenceWatch
from model.training.ema import WeightAverage
from model.training.journal import Journal, RateMeter, Tracker
from model.training.memory import peak_memory_gib
from model.training.optimizer import build_optimizer, set_rates, trainable
from model.training.options import TrainOptions
from model.training.precision import Precision
from model.training.schedule import rate_factor
from model.training.stream import iter_steps
from model.training.workers import Workers
from schemas.fingerprint import require_same

MakeBatch = Callable[[Sequence[int]], TrainBatch]
Grid = Callable[[int, int], tuple[Tensor, Sequence[tuple[int, int]]]]
"""(height, width) of a padded batch -> anchors [N, 4] and the (height, width) of each level."""
Evaluate = Callable[[nn.Module, int], Mapping[str, float]]
"""(model in eval mode with the averaged weights, step) -> figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a finished run reports."""

    steps: int
    first_step: int
    losses: Mapping[str, float]
    evaluation: Mapping[str, float]
    drops: Mapping[str, int]


class Trainer:
    """One training run in one directory.

    Args:
        model: Its parameters are trained in place.
        loss: The three losses.
        grid: The anchors of a batch's size, known before the forward pass.
        make_batch: Positions of the stream -> batch on the CPU.
        options: The loop's numbers.
        directory: Checkpoints, log and state file; a run that is there already is continued.
        fingerprint: What must be the same for a resume: data, network, options.
        device: Where the model is.
        workers: This process among all.
        num_loader_processes: Processes that make batches ahead.
        evaluate: Figures for the log, computed with the averaged weights.
        trackers: Plot the log as well.
        on_log: Called by the first worker with every line of figures (progress bars).
        on_checkpoint: Called by every worker after a checkpoint (Ray Train's report).
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        loss: GlipLoss,
        grid: Grid,
        make_batch: MakeBatch,
        options: TrainOptions,
        directory: Path,
        fingerprint: Mapping[str, object],
        device: torch.device | None = None,
        workers: Workers | None = None,
        num_loader_processes: int = 0,
        evaluate: Evaluate | None = None,
        trackers: tuple[Tracker, ...] = (),
        on_log: Callable[[int, Mapping[str, float]], None] | None = None,
        on_checkpoint: Callable[[int, Path], None] | None = None,
    ) -> None:
        self.model = model
        self.options = options
        self.directory = directory
        self.device = device or torch.device("cpu")
        self.workers = workers or Workers.current()
        self._loss = loss
        self._grid = grid
        self._make_batch = make_batch
        self._fingerprint = dict(fingerprint)
        self._num_loader_processes = num_loader_processes
        self._evaluate = evaluate
        self._trackers = trackers
        self._on_log = on_log
        self._on_checkpoint = on_checkpoint
        self._precision = Precision(options.precision, self.device.type)
        self._scaler = self._precision.scaler()
        self.optimizer = build_optimizer(model, options.optimizer)
        self._parameters = trainable(self.optimizer)
        self.average = (
            WeightAverage(model, options.ema_decay, ramp=options.ema_ramp)
            if options.ema_decay
            else None
        )
        self._watch = DivergenceWatch(directory, explode_factor=options.explode_factor)
        self.drops: Counter[str] = Counter()

    # --- the run -------------------------------------------------------------------------------

    def run(self) -> TrainResult:
        """Train from the last checkpoint, or from the start, to the last step.

        Raises:
            DivergenceError: a loss or a gradient went wrong.
            FingerprintMismatch: the directory holds a run of other data, network or options.
        """
        options = self.options
        first = self._restore()
        journal = (
            Journal(self.directory, options.steps, first, self._trackers)
            if self.workers.is_first
            else None
        )
        losses: dict[str, float] = {}
        evaluation: dict[str, float] = {}
        step = first
        try:
            self.model.train()
            meter = RateMeter()
            batches = iter_steps(
                self._make_batch,
                range(first, options.steps),
                batch_size=options.batch_size,
                accumulate=options.accumulate,
                workers=self.workers,
                num_processes=self._num_loader_processes,
            )
            while step < options.steps:
                asked = time.perf_counter()
                micro_batches = next(batches)
                waited = time.perf_counter() - asked
                losses, norm = self._step(step, micro_batches)
                step += 1
                meter.add(options.batch_size, waited)
                is_last = step == options.steps
                if journal and (step % options.log_every == 0 or is_last):
                    self._report(journal, step, losses, norm, meter)
                if step % options.checkpoint_every == 0 or is_last:
                    self._save(step)
                    if journal:
                        journal.state("running", step)
                if is_last or (options.evaluate_every and step % options.evaluate_every == 0):
                    evaluation = self._evaluation(journal, step)
                    meter.take()  # the evaluation's time is not the training's
        except KeyboardInterrupt:
            if journal:
                journal.state("stopped", step, detail="interrupted")
            raise
        except BaseException as error:
            if journal:
                journal.state("failed", step, detail=f"{type(error).__name__}: {error}")
            raise
        else:
            if journal:
                journal.state("done", step)
        finally:
            if journal:
                journal.close()
        return TrainResult(
            steps=step,
            first_step=first,
            losses=losses,
            evaluation=evaluation,
            drops=dict(self.drops),
        )

    # --- one step ------------------------------------------------------------------------------

    def _step(
        self, step: int, micro_batches: Sequence[TrainBatch]
    ) -> tuple[dict[str, float], float]:
        options = self.options
        for batch in micro_batches:
            self.drops.update(batch.drops)
        batches = [batch.to(self.device) for batch in micro_batches]
        assigned = [
            self._loss.assign(*self._grid(*batch.images_B3HW.shape[-2:]), batch.targets)
            for batch in batches
        ]
        # Over all workers and micro-batches, so that the step's loss is that of the whole batch.
        normalizers = self.workers.sum(sum_all(self._loss.normalizers(a) for a in assigned))
        self.optimizer.zero_grad(set_to_none=True)
        totals: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            self._seed(step, number)
            with self._precision.autocast():
                output = self.model(batch.images_B3HW, batch.tokens)
            parts = self._loss(
                output,
                batch.targets,
                batch.text_mask_BT,
                normalizers=normalizers,
                assigned=assigned[number],
            )
            self._scaler.scale(parts.total).backward()
            for name, value in parts.named().items():
                totals[name] = totals.get(name, 0) + value.detach()
        self.workers.sum_gradients(self._parameters)
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

    def _seed(self, step: int, micro_batch: int) -> None:
        # Dropout is a function of the place in the run: a resume needs no stored random state.
        place = (step * 4096 + self.workers.rank) * 256 + micro_batch
        torch.manual_seed((self.options.seed * 0x9E3779B97F4A7C15 + place) % 2**63)

    # --- what is told and kept -----------------------------------------------------------------

    def _report(
        self,
        journal: Journal,
        step: int,
        losses: Mapping[str, float],
        norm: float,
        meter: RateMeter,
    ) -> None:
        figures = {
            "loss": sum(losses.values()),
            **losses,
            "gradient_norm": norm,
            "rate": self.optimizer.param_groups[0]["lr"],
            **meter.take(),
            "memory_gib": peak_memory_gib(self.device),
        }
        journal.log(step, "train", figures)
        journal.state("running", step)
        if self._on_log is not None:
            self._on_log(step, figures)

    def _evaluation(self, journal: Journal | None, step: int) -> dict[str, float]:
        if self._evaluate is None:
            return {}
        figures: dict[str, float] = {}
        if self.workers.is_first:
            with self.averaged():
                figures = dict(self._evaluate(self.model, step))
            if journal:
                journal.log(step, "evaluation", figures)
        self.workers.barrier()
        return figures

    def averaged(self) -> _Averaged:
        """A context in which the model is in eval mode and holds the averaged weights."""
        return _Averaged(self.model, self.average)

    def _state(self) -> dict[str, object]:
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "mean_loss": self._watch.mean_loss,
            "drops": dict(self.drops),
            "fingerprint": self._fingerprint,
        }

    def _save(self, step: int) -> None:
        if self.workers.is_first:
            path = save_checkpoint(
                self.directory / "checkpoints", step, self._state(), self.options.keep
            )
            if self._on_checkpoint is not None:
                self._on_checkpoint(step, path)
        self.workers.barrier()

    def _restore(self) -> int:
        found = list_checkpoints(self.directory / "checkpoints")
        if not found:
            self.workers.broadcast([*self.model.parameters(), *self.model.buffers()])
            return 0
        step, path = found[-1]
        state = load_checkpoint(path)
        require_same(
            state["fingerprint"],
            self._fingerprint,
            where=str(path),
            remedy="Train into another directory, or resume with the recipe of this one.",
        )
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._watch.mean_loss = state["mean_loss"]
        self.drops = Counter(state["drops"])
        return step


def sum_all(values: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor."""
    first, *others = values
    for value in others:
        first = first + value
    return first


class _Averaged:
    def __init__(self, model: nn.Module, average: WeightAverage | None) -> None:
        self._model = model
        self._average = average

    def __enter__(self) -> nn.Module:
        if self._average is not None:
            self._average.swap()
        self._model.eval()
        return self._model

    def __exit__(self, *_: object) -> None:
        if self._average is not None:
            self._average.swap()
        self._model.train()
