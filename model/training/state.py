"""`train.json`: how far a training is, for `glipforge status`."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.checked import checked

STATE_NAME = "train.json"

_Steps = Annotated[int, Field(ge=0, lt=2**53)]
_Pid = Annotated[int, Field(ge=0, lt=2**31)]


@checked(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """What a run writes of itself, always as a whole."""

    kind: Literal["train"] = "train"
    version: Literal[1] = 1
    status: Literal["running", "done", "stopped", "failed"]
    detail: str = ""
    """Why it stopped or failed."""
    step: _Steps
    total_steps: _Steps
    first_step: _Steps
    """The one that this process starts or resumes from."""
    started_at: str
    updated_at: str
    host: str
    pid: _Pid
    last: dict[str, int | float | str] = field(default_factory=dict)
    """The last line of the log: step, event, at, losses, images_per_s; a text where JSON cannot
    say the number."""
    evaluation: dict[str, int | float | str] = field(default_factory=dict)
    """The last evaluation: step, event, at and figures."""
    drops: dict[str, _Steps] = field(default_factory=dict)
    """Boxes and images that were not learnt from, by reason."""

    def __post_init__(self) -> None:
        for name in ("last", "evaluation"):
            line = getattr(self, name)
            if not line:
                continue
            step = line.get("step")
            if type(step) is not int or not 0 <= step < 2**53:
                raise ValueError(f"{name}.step must be a number of steps, got {step!r:.40}")
            _require_time(f"{name}.at", line.get("at"))


def _require_time(name: str, value: object) -> None:
    """Raises ValueError where it is not a time with its zone."""
    try:
        zone = datetime.fromisoformat(value).tzinfo if isinstance(value, str) else None
    except ValueError:
        zone = None
    if zone is None:
        raise ValueError(
            f"{name} must be a time such as 2026-01-31T12:00:00+00:00, got {value!r:.40}"
        )
