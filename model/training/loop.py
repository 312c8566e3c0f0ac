"""The training loop: the same for one process and for many, for the first start and a resume."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from model.losses.glip_loss import GlipLoss
from model.out_of_memory import is_out_of_memory
from model.training.batch import TrainBatch
from model.training.checkpoint import (
    CHECKPOINT_DIRECTORY,
    checkpoint_path,
    load_newest,
    save_checkpoint,
)
from model.training.ema import WeightAverage
from model.training.journal import Journal, RateMeter, Tracker
from model.training.memory import peak_memory_gib
from model.training.options import TrainOptions
from model.training.step import Averaged, Grid, TrainStep
from model.training.stream import iter_steps
from model.training.unreadable import UnreadableImages
from model.training.workers import Workers
from schemas.errors import GlipforgeError, failure_of
from schemas.fingerprint import require_same

MakeBatch = Callable[[Sequence[int]], TrainBatch]
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
        grid: The anchors of a batch's size.
        make_batch: Positions of the stream -> batch on the CPU.
        options: The loop's numbers.
        directory: Checkpoints, log and state file; a run that is there already is continued.
        fingerprint: What must be the same for a resume: data, network, options.
        device: Where the model is.
        workers: This process among all.
        num_loader_processes: Processes that make batches ahead.
        evaluate: Figures for the log, computed with the averaged weights.
        trackers: Plot the log as well.
        say: Gets a sentence that a person should read, in the first worker.
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
        say: Callable[[str], None] = print,
        on_log: Callable[[int, Mapping[str, float]], None] | None = None,
        on_checkpoint: Callable[[int, Path], None] | None = None,
    ) -> None:
        self.model = model
        self.options = options
        self.directory = directory
        self.device = device or torch.device("cpu")
        self.workers = workers or Workers.current()
        self._make_batch = make_batch
        self._fingerprint = dict(fingerprint)
        self._num_loader_processes = num_loader_processes
        self._evaluate = evaluate
        self._trackers = trackers
        self._say = say if self.workers.is_first else _silent
        self._on_log = on_log
        self._on_checkpoint = on_checkpoint
        self._step = TrainStep(
            model=model,
            loss=loss,
            grid=grid,
            options=options,
            directory=directory,
            device=self.device,
            workers=self.workers,
        )
        self._unreadable = UnreadableImages(directory, options.max_unreadable)
        self._drops: Counter[str] = Counter()  # of this worker
        self._all_drops: Counter[str] = Counter()  # of all, as of the last checkpoint
        self._losses: Mapping[str, float] = {}  # of the last step

    def run(self) -> TrainResult:
        """Train from the last checkpoint, or from the start, to the last step.

        Raises:
            DivergenceError: a loss or a gradient went wrong.
            RetryableError: a loader's process was killed.
            FingerprintMismatch: the directory holds a run of other data, network or options.
        """
        first = self._restore()
        if about_norms := self._step.about_norms():
            self._say(about_norms)
        journal = None
        if self.workers.is_first:
            journal = Journal(self.directory, self.options.steps, first, self._trackers)
        try:
            result = self._train(first, journal)
        except BaseException as error:
            if journal:
                stopped = isinstance(error, KeyboardInterrupt)
                detail = "interrupted" if stopped else failure_of(error)
                journal.state("stopped" if stopped else "failed", detail=detail)
            raise
        else:
            if journal:
                journal.state("done", result.steps, drops=dict(result.drops))
        finally:
            if journal:
                journal.close()
        return result

    @property
    def average(self) -> WeightAverage | None:
        """The averaged weights, if the options ask for them."""
        return self._step.average

    def averaged(self) -> Averaged:
        """A context in which the model is in eval mode and holds the averaged weights."""
        return self._step.averaged()

    def _train(self, first: int, journal: Journal | None) -> TrainResult:
        options = self.options
        evaluation: Mapping[str, float] = {}
        if first == options.steps:
            evaluation = self._last_evaluation(journal, first)
        self._step.train_mode()
        batches = iter_steps(
            self._make_batch,
            range(first, options.steps),
            batch_size=options.batch_size,
            accumulate=options.accumulate,
            workers=self.workers,
            num_processes=self._num_loader_processes,
        )
        meter = RateMeter()
        for step in range(first + 1, options.steps + 1):
            asked = time.perf_counter()
            micro_batches = next(batches)
            meter.add(options.batch_size, waited=time.perf_counter() - asked)
            for batch in micro_batches:
                self._drops.update(batch.drops)
                self._unreadable.add(len(batch.sample_ids), batch.failures)
            self._losses, norm = self._take(step, micro_batches)
            is_last = step == options.steps
            if journal and (step % options.log_every == 0 or is_last):
                self._report(journal, step, self._losses, norm, meter)
            if step % options.checkpoint_every == 0 or is_last:
                self._save(step, journal)
            if is_last or (options.evaluate_every and step % options.evaluate_every == 0):
                evaluation = self._evaluation(journal, step)
                meter.take()  # the evaluation's time is not the training's
        return TrainResult(
            steps=options.steps,
            first_step=first,
            losses=self._losses,
            evaluation=evaluation,
            drops=dict(self._all_drops),
        )

    def _take(
        self, step: int, micro_batches: Sequence[TrainBatch]
    ) -> tuple[dict[str, float], float]:
        try:
            return self._step(step - 1, micro_batches)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            height, width = micro_batches[0].size_hw
            raise GlipforgeError(
                f"memory ran out in step {step}, with {len(micro_batches[0].sample_ids)} images of "
                f"{width} x {height} at once ({str(error).splitlines()[0]}). The same command with "
                "--set 'train.activation_checkpointing=[\"tower.*\"]' takes less; a larger "
                "train.accumulate or a smaller network.max_size is another run, with another --out"
            ) from error

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
            "rate": self._step.optimizer.param_groups[0]["lr"],
            **meter.take(),
            "memory_gib": peak_memory_gib(self.device),
        }
        if self._unreadable.failed:
            figures["unreadable"] = float(self._unreadable.failed)
        journal.log(step, "train", figures)
        journal.state("running", step)
        if self._on_log is not None:
            self._on_log(step, figures)

    def _last_evaluation(self, journal: Journal | None, step: int) -> Mapping[str, float]:
        """The figures of a run that had taken its last step; measured if it was killed before."""
        figures = journal.figures(step, "evaluation") if journal else None
        if figures:
            self.workers.barrier()
            return figures
        return self._evaluation(journal, step)

    def _evaluation(self, journal: Journal | None, step: int) -> Mapping[str, float]:
        figures: Mapping[str, float] = {}
        if journal and self._evaluate is not None:
            with self.averaged():
                figures = self._evaluate(self.model, step)
            journal.log(step, "evaluation", figures)
        self.workers.barrier()
        return figures

    def _save(self, step: int, journal: Journal | None) -> None:
        self._all_drops = self.workers.sum_counts(self._drops)
        directory = self.directory / CHECKPOINT_DIRECTORY
        path = checkpoint_path(directory, step)
        if self.workers.is_first:
            state = self._step.state_dict() | {
                "drops": dict(self._all_drops),
                "losses": dict(self._losses),
                "fingerprint": self._fingerprint,
            }
            save_checkpoint(directory, step, state, self.options.keep)
        if journal:
            journal.state("running", step, drops=dict(self._all_drops))
        self.workers.barrier()
        if self._on_checkpoint is not None:
            self._on_checkpoint(step, path)

    def _restore(self) -> int:
        found = load_newest(self.directory / CHECKPOINT_DIRECTORY, self._say)
        if found is None:
            self.workers.broadcast([*self.model.parameters(), *self.model.buffers()])
            return 0
        step, path, state = found
        require_same(
            state["fingerprint"],
            self._fingerprint,
            where=str(path),
            remedy="Train into another directory, or resume with the recipe of this one.",
        )
        self._step.load_state_dict(state)
        self._all_drops = Counter(state["drops"])
        self._losses = state.get("losses", {})
        if self.workers.is_first:
            self._drops = Counter(state["drops"])
        return step


def _silent(sentence: str) -> None:
    pass
