"""Ask where things are in one image: the best box for each thing that the question names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from jobs.image_options import ImageOptions
from schemas.errors import ConfigError

EXAMPLES = ('glipforge ask photo.jpg "where is the dog with the red ball?" --teacher glip-t',)


@dataclass(frozen=True, kw_only=True)
class Config(ImageOptions):
    """Options of `glipforge ask`."""

    question: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="QUESTION")]
    """Every thing that it names is looked for."""
    threshold: float = 0.2
    """Smallest score that is an answer, in [0, 1]."""


def run(config: Config) -> int:
    """Ask the teacher once."""
    from jobs.single_image import ground_text

    if not config.question.strip():
        raise ConfigError("question must not be empty")
    ground_text(config, config.question, command="ask", best_only=True)
    return 0
