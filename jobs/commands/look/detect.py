"""Find named things in one image: a table, and a picture with the boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jobs.arguments import MaybeFile, Model
from pipeline.phrases.class_list import split_names
from schemas.errors import ConfigError

EXAMPLES = ('glipforge detect photo.jpg --names "cat, dog, red umbrella" --teacher glip-t',)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge detect`."""

    image: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="IMAGE")]
    """A path, a URL, or a member of an archive as ARCHIVE#MEMBER."""
    names: Annotated[str, tyro.conf.arg(metavar="NAMES")]
    """Names of things, with commas between, or @FILE with one name a line. Any number. What stands
    in parentheses belongs to its name and is not asked for."""
    teacher: Model = None
    """A model directory (converted or trained), a published name (glip-t) or a hub id; the shipped
    glip-nano if not given."""
    threshold: float = 0.4
    """Smallest score that is shown, in [0, 1]."""
    out: MaybeFile = None
    """The picture with boxes; STEM-detect.png in the current directory if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Of the network's arithmetic; auto: bfloat16 where it is faster and finds the same."""
    json: bool = False
    """Print the answer as JSON instead of a table."""


def parse_names(text: str) -> tuple[str, ...]:
    """Names of a comma list or of a file, in order, without empty ones and repetitions.

    Raises:
        ConfigError: no name is left, or the file cannot be read.
    """
    names = tuple(dict.fromkeys(split_names(text)))
    if not names:
        raise ConfigError(f'names has no name in it, got {text!r}; for example "person, car"')
    return names


def run(config: Config) -> int:
    """Ask the teacher once."""
    from jobs.single_image import (
        Answer,
        check_threshold,
        output_path,
        read_image,
        show_answer,
    )
    from model.teacher.load import load_teacher
    from model.teacher.options import TeacherOptions

    check_threshold(config.threshold)
    names = parse_names(config.names)
    image = read_image(config.image)
    out = output_path(config.out, config.image, "detect")
    teacher = load_teacher(
        config.teacher,
        device=config.device,
        options=TeacherOptions(score_floor=config.threshold, precision=config.precision),
    )
    answer = Answer(image=image, labels=names, grounding=teacher.detect(image, names))
    show_answer(answer, teacher, out=out, threshold=config.threshold, as_json=config.json)
    return 0
