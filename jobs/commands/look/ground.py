"""Find the phrases of a caption in one image: a table, and a picture with the boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from jobs.image_options import ImageOptions
from schemas.errors import ConfigError

EXAMPLES = ('glipforge ground photo.jpg "a dog beside a red ball" --teacher glip-t',)


@dataclass(frozen=True, kw_only=True)
class Config(ImageOptions):
    """Options of `glipforge ground`."""

    caption: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CAPTION")]
    """What to look for: every noun phrase of it is asked for."""


def run(config: Config) -> int:
    """Ask the teacher once."""
    from jobs.single_image import ground_text

    if not config.caption.strip():
        raise ConfigError("caption must not be empty")
    ground_text(config, config.caption, command="ground")
    return 0
