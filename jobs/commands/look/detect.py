"""Find named things in one image: a table, and a picture with the boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from jobs.image_options import ImageOptions
from pipeline.phrases.class_list import ClassList

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from model.teacher.load import AnyTeacher
    from schemas.grounder import Grounding

EXAMPLES = (
    'glipforge detect photo.jpg --names "cat, dog, red umbrella" --teacher glip-t',
    'glipforge detect photo.jpg --names "person: person, man; helmet: -cap" --teacher glip-t',
)


@dataclass(frozen=True, kw_only=True)
class Config(ImageOptions):
    """Options of `glipforge detect`."""

    names: Annotated[str, tyro.conf.arg(metavar="NAMES")]
    """Names of things, with commas between, or @FILE with one name a line. Any number. What stands
    in parentheses belongs to its name and is not asked for. Wordings and what it must not be are
    said as to `label`: "person: person, man; helmet: -cap"."""


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
    classes = ClassList.parse(config.names)
    image = read_image(config.image)
    out = output_path(config.out, config.image, "detect")
    teacher = load_teacher(
        config.teacher,
        device=config.device,
        options=TeacherOptions(score_floor=config.threshold, precision=config.precision),
    )
    answer = Answer(image=image, labels=classes.names, grounding=_ask(teacher, image, classes))
    show_answer(answer, teacher, out=out, threshold=config.threshold, as_json=config.json)
    return 0


def _ask(teacher: AnyTeacher, image: NDArray[np.uint8], classes: ClassList) -> Grounding:
    from pipeline.labelling.class_grounder import ClassGrounder
    from schemas.grounder import GroundingRequest

    if classes.is_plain:
        return teacher.detect(image, classes.names)
    request = GroundingRequest(image=image, caption=classes.caption, phrases=classes.phrases)
    (found,) = ClassGrounder(teacher, classes).ground([request])
    return found
