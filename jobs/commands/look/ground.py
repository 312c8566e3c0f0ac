"""Find the phrases of a caption in one image: a table, and a picture with the boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jobs.arguments import MaybeFile, Model
from schemas.errors import ConfigError

EXAMPLES = ('glipforge ground photo.jpg "a dog beside a red ball" --teacher glip-t',)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge ground`."""

    image: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="IMAGE")]
    """A path, a URL, or a member of an archive as ARCHIVE#MEMBER."""
    caption: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CAPTION")]
    """What to look for: every noun phrase of it is asked for."""
    teacher: Model = None
    """A model directory (converted or trained), a published name (glip-t) or a hub id; the shipped
    glip-nano if not given."""
    threshold: float = 0.4
    """Smallest score that is shown, in [0, 1]."""
    out: MaybeFile = None
    """The picture with boxes; STEM-ground.png in the current directory if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Of the network's arithmetic; auto: bfloat16 where it is faster and finds the same."""
    json: bool = False
    """Print the answer as JSON instead of a table."""


def run(config: Config) -> int:
    """Ask the teacher once."""
    from jobs.single_image import ground_text

    if not config.caption.strip():
        raise ConfigError("caption must not be empty")
    ground_text(
        config.image,
        config.caption,
        command="ground",
        teacher=config.teacher,
        threshold=config.threshold,
        out=config.out,
        device=config.device,
        precision=config.precision,
        as_json=config.json,
    )
    return 0
