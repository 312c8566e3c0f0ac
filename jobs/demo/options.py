"""What may be said to the demo: its own options, or a part of it that is asked for alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jobs.arguments import DirPath
from jobs.demo.experiment import ExperimentConfig
from jobs.demo.world import WorldConfig
from schemas.errors import ConfigError

Other = (
    Annotated[WorldConfig, tyro.conf.subcommand("world")]
    | Annotated[ExperimentConfig, tyro.conf.subcommand("experiment")]
    | None
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge demo`; run again, it goes on where it stopped."""

    out: DirPath = Path("demo-run")
    """Where everything is written."""
    scenes: int = 160
    """Captioned images that are labelled."""
    reviewed: int = 40
    """Pairs that the simulated reviewer looks at."""
    steps: int = 30
    """Training steps of the student."""
    held_out: int = 80
    """Scenes with known boxes, never labelled or trained on, for the evaluation."""
    runner: Literal["ray", "local"] = "ray"
    """Who labels: Ray, started here for the purpose, or this process."""
    teacher: str = ""
    """A model directory; the shipped glip-nano if not given."""
    seed: int = 0
    """Decides the scenes and all that is drawn."""
    open: bool = True
    """Open the app at the end where there is a screen and a terminal."""
    fresh: bool = False
    """Remove what an earlier demo wrote in OUT, and begin again."""
    other: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Other]] = None
    """Only the world, or the experiment: what a student learns that its teacher did not know."""

    def __post_init__(self) -> None:
        for name in ("scenes", "reviewed", "steps", "held_out"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
