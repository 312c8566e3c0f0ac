"""The options that `ground`, `ask` and `detect` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jobs.arguments import MaybeFile, Model


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """One image, a teacher, and what becomes of its answer."""

    image: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="IMAGE")]
    """A path, a URL, or a member of an archive as ARCHIVE#MEMBER."""
    teacher: Model = None
    """A model directory (converted or trained), a published name (glip-t) or a hub id; the shipped
    glip-nano if not given."""
    threshold: float = 0.4
    """Smallest score that is shown, in [0, 1]."""
    out: MaybeFile = None
    """The picture with boxes; STEM-COMMAND.png in the current directory if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Of the network's arithmetic; auto: bfloat16 where it is faster and finds the same."""
    json: bool = False
    """Print the answer as JSON instead of a table."""
