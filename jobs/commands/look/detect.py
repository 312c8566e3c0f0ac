"""Find named things in one image: a table, and a picture with the boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from jobs.image_options import ImageOptions
from pipeline.phrases.class_list import split_names
from schemas.errors import ConfigError

EXAMPLES = ('glipforge detect photo.jpg --names "cat, dog, red umbrella" --teacher glip-t',)


@dataclass(frozen=True, kw_only=True)
class Config(ImageOptions):
    """Options of `glipforge detect`."""

    names: Annotated[str, tyro.conf.arg(metavar="NAMES")]
    """Names of things, with commas between, or @FILE with one name a line. Any number. What stands
    in parentheses belongs to its name and is not asked for."""


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
