"""What a run tells: `log.jsonl`, `train.json` for `glipforge status`, and the trackers."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from model.training.state import STATE_NAME, TrainingState
from schemas.atomic import write_whole
from schemas.checked import to_plain
from schemas.damage import whole

LOG_NAME = "log.jsonl"
_NOT_FIGURES = ("step", "event", "at")


class Tracker(Protocol):
    """Anything that plots: TensorBoard, Weights & Biases, MLflow."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take values of one step."""
        ...

    def close(self) -> None:
        """Write what is still held back."""
        ...


class TensorBoardTracker:
    """Event files below the run directory."""

    def __init__(self, directory: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(directory))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take values of one step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still held back."""
        self._writer.close()


class Journal:
    """The run's log and state file. Lines after the step that a run resumes from are removed.

    Args:
        directory: The run directory.
        total_steps: Steps of the whole run.
        first_step: The step that the run starts or resumes from.
        trackers: Get every number of the log as well.
    """

    def __init__(
        self, directory: Path, total_steps: int, first_step: int, trackers: tuple[Tracker, ...] = ()
    ) -> None:
        self._directory = directory
        self._trackers = trackers
        self._log = directory / LOG_NAME
        directory.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_log(self._log) if line["step"] <= first_step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_whole(self._log, text.encode())
        now = _now()
        self._state = TrainingState(
            status="running",
            step=first_step,
            total_steps=total_steps,
            first_step=first_step,
            started_at=now,
            updated_at=now,
            host=socket.gethostname(),
            pid=os.getpid(),
            last=_last(kept, "train"),
            evaluation=_last(kept, "evaluation"),
        )
        self.state("running", first_step)

    def log(self, step: int, event: str, values: Mapping[str, float]) -> None:
        """One line of the log, also to the trackers and the state file."""
        line = {"step": step, "event": event, "at": _now(), **_finite(values)}
        with self._log.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        for tracker in self._trackers:
            tracker.scalars(step, {f"{event}/{name}": v for name, v in values.items()})
        new: dict[str, Any] = {"last" if event == "train" else "evaluation": line}
        self._state = replace(self._state, **new)

    def figures(self, step: int, event: str) -> dict[str, float] | None:
        """What the log's last line of this event says, if it is of this step."""
        line = _last(read_log(self._log), event)
        if line.get("step") != step:
            return None
        return {name: float(value) for name, value in line.items() if name not in _NOT_FIGURES}

    def state(
        self,
        status: Literal["running", "done", "stopped", "failed"],
        step: int | None = None,
        **more: Any,
    ) -> None:
        """Write `train.json`, with what is new: the step, `detail`, `drops`."""
        if step is not None:
            more["step"] = step
        self._state = replace(self._state, status=status, updated_at=_now(), **more)
        text = json.dumps(to_plain(self._state), indent=1)
        write_whole(self._directory / STATE_NAME, text.encode())

    def close(self) -> None:
        """Close the trackers."""
        for tracker in self._trackers:
            tracker.close()


def read_log(path: Path) -> list[dict]:
    """The lines of a log; a last line that was cut by a kill is left out."""
    if not path.exists():
        return []
    data = path.read_bytes()
    with whole(str(path), "take out the damaged line, or move the file away: it is only the log"):
        lines = [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
        return [dict(json.loads(line)) for line in lines]


def _last(lines: Sequence[dict], event: str) -> dict:
    return next((line for line in reversed(lines) if line["event"] == event), {})


def _finite(values: Mapping[str, float]) -> dict[str, float | str]:
    return {
        name: round(value, 6) if value - value == 0 else str(value)
        for name, value in values.items()
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class RateMeter:
    """Images a second, and the share of the time that went to waiting for data."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._images = 0
        self._waited = 0.0

    def add(self, images: int, waited: float) -> None:
        """Count one step."""
        self._images += images
        self._waited += waited

    def take(self) -> dict[str, float]:
        """Figures since the last call: `images_per_s` and `loader_share`."""
        now = time.perf_counter()
        seconds = max(now - self._started, 1e-9)
        figures = {
            "images_per_s": self._images / seconds,
            "loader_share": self._waited / seconds,
        }
        self._started, self._images, self._waited = now, 0, 0.0
        return figures
