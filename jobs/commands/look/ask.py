"""Ask where things are in one image: the best box for each thing that the question names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jobs.arguments import MaybeFile, Model
from schemas.errors import ConfigError

EXAMPLES = ('glipforge ask photo.jpg "where is the dog with the red ball?" --teacher glip-t',)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge ask`."""

    image: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="IMAGE")]
    """A path, a URL, or a member of an archive as ARCHIVE#MEMBER."""
    question: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="QUESTION")]
    """Every thing that it names is looked for."""
    teacher: Model = None
    """A model directory (converted or trained), a published name (glip-t) or a hub id; the shipped
    glip-nano if not given."""
    threshold: float = 0.2
    """Smallest score that is an answer, in [0, 1]."""
    out: MaybeFile = None
    """The picture with boxes; STEM-ask.png in the current directory if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Of the network's arithmetic; auto: bfloat16 where it is faster and finds the same."""
    json: bool = False
    """Print the answer as JSON instead of a table."""


def run(config: Config) -> int:
    """Ask the teacher once."""
    from jobs.single_image import ground_text

    if not config.question.strip():
        raise ConfigError("question must not be empty")
    ground_text(
        config.image,
        config.question,
        command="ask",
        teacher=config.teacher,
        threshold=config.threshold,
        out=config.out,
        device=config.device,
        precision=config.precision,
        as_json=config.json,
        best_only=True,
    )
    return 0
