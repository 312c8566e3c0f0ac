"""The state of a training run, from its own files: train.json, the log and the checkpoints."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from model.training.state import STATE_NAME, TrainingState
from pipeline.run.store import PLAN
from schemas.checked import from_json, read_object
from schemas.errors import ConfigError, DataError

RECIPE = "recipe.json"
UNREADABLE = "unreadable.jsonl"
SILENT_S = 600.0
"""A run that has said nothing for so long, and whose process cannot be asked, may be dead."""


def is_training(folder: Path) -> bool:
    """True for the directory of a training run."""
    return (folder / STATE_NAME).is_file() or _is_begun(folder)


def _is_begun(folder: Path) -> bool:
    """True where `pretrain` wrote its recipe and nothing else yet."""
    return (folder / RECIPE).is_file() and not (folder / PLAN).exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStatus:
    """What `glipforge status RUN --json` prints of a training."""

    run: str
    kind: Literal["train"] = "train"
    complete: bool
    step: int
    steps: int
    state: str
    """`running`, `stopped`, `failed: ...` as the run wrote it; or that it has not begun."""
    is_alive: bool
    host: str | None
    pid: int | None
    last: dict[str, Any] = field(default_factory=dict)
    """The last line of the log: step, losses, images_per_s, at."""
    evaluation: dict[str, Any] | None = None
    """The last evaluation: step and figures."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Boxes and images that were not learnt from, by reason, as of the last checkpoint."""
    seconds_left: float | None = None
    checkpoints: tuple[str, ...] = ()


def read_training(folder: Path) -> TrainingStatus:
    """Everything that `status` tells of a training run.

    Raises:
        DataError: train.json is not what a run writes.
        ConfigError: recipe.json is missing or damaged.
    """
    path = folder / STATE_NAME
    recipe = read_object(folder / RECIPE)
    if not path.exists():
        return _not_begun(folder, recipe)
    batch = _train_field(folder, recipe, "batch_size")
    try:
        state = from_json(TrainingState, path.read_bytes(), where=STATE_NAME)
    except ConfigError as error:
        raise DataError(
            f"{path} is not the state of a training run: {error}. Delete it, and the same "
            "`glipforge pretrain` goes on and writes it again"
        ) from error
    return _status_of(folder, batch, state)


def _status_of(folder: Path, batch: int, state: TrainingState) -> TrainingStatus:
    step, total = state.step, state.total_steps
    rate = state.last.get("images_per_s")
    return TrainingStatus(
        run=str(folder),
        complete=step >= total and (folder / "model").is_dir(),
        step=step,
        steps=total,
        state=state.status,
        is_alive=_is_alive(state),
        host=state.host,
        pid=state.pid,
        last=state.last,
        evaluation=state.evaluation or None,
        left_out=state.drops,
        seconds_left=_left((total - step) * batch, rate),
        checkpoints=tuple(sorted(p.name for p in (folder / "checkpoints").glob("step-*.pt"))),
    )


def _train_field(folder: Path, recipe: Any, name: str) -> int:
    try:
        return int(recipe["train"][name])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{folder / RECIPE} is not the recipe of a training run: it has no number "
            f"train.{name}; restore it, or train into another --out"
        ) from error


def _not_begun(folder: Path, recipe: Any) -> TrainingStatus:
    """A run that reads its data still, or that ended before its first step."""
    from pipeline.run.lock import folder_holder

    holder = folder_holder(folder)
    return TrainingStatus(
        run=str(folder),
        complete=False,
        step=0,
        steps=_train_field(folder, recipe, "steps"),
        state="it has not begun",
        is_alive=holder is not None,
        host=None if holder is None else holder.host,
        pid=None if holder is None else holder.pid,
    )


def print_training(found: TrainingStatus) -> None:
    """The state of a training run in a few lines."""
    print(f"run      {found.run}: {_words(found)}")
    print(f"steps    {found.step:,} of {found.steps:,}")
    last = found.last
    if last:
        names = ("loss", "token", "box", "centerness")
        parts = [f"{name} {_figure(last[name], 3)}" for name in names if name in last]
        print(f"losses   {', '.join(parts)} at step {last['step']:,}")
        if "images_per_s" in last:
            print(f"speed    {_figure(last['images_per_s'], 1)} images/s")
    if last.get("unreadable"):
        times = _figure(last["unreadable"], 0)
        named = f"{found.run}/{UNREADABLE}"
        print(f"unread   {times} times an image could not be read; {named} names them")
    if found.evaluation:
        figures = [
            f"{name} {value:.3f}"
            for name, value in found.evaluation.items()
            if "/" in name and isinstance(value, float)
        ]
        print(f"measured {', '.join(figures)} at step {found.evaluation['step']:,}")
    if found.left_out:
        print(f"left out {describe_drops(found.left_out)}")
    if found.checkpoints:
        print(f"kept     {', '.join(found.checkpoints)}")
    if found.complete:
        print(f"model    {found.run}/model")


def _figure(value: object, digits: int) -> str:
    """A number, or the text that stands for one that JSON cannot say: `nan`."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else str(value)[:40]


def describe_drops(drops: Mapping[str, int]) -> str:
    """What a training left out, the most frequent first: `12 x box: too small, ...`."""
    most_first = sorted(drops.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} x {reason}" for reason, number in most_first)


def _words(found: TrainingStatus) -> str:
    if found.complete:
        return "complete"
    if found.is_alive:
        left = found.seconds_left
        more = f", about {left / 60:.0f} min left" if left else ""
        return f"process {found.pid} on {found.host} works on it{more}"
    said = f" ({found.state})" if found.state else ""
    return f"not complete and nobody works on it{said}; the same `glipforge pretrain` goes on"


def _is_alive(state: TrainingState) -> bool:
    """Whether its process is there; of another machine's only how long it has been silent."""
    if state.host == socket.gethostname():
        try:
            os.kill(state.pid or 2**22, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    if not state.last:
        return False
    at = datetime.fromisoformat(str(state.last["at"]))
    return (datetime.now(UTC) - at).total_seconds() < SILENT_S


def _left(images: int, rate: object) -> float | None:
    """Seconds for so many images; None where none are left or the rate is not known."""
    return images / rate if images > 0 and isinstance(rate, int | float) and rate > 0 else None
