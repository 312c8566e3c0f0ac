"""What `ground`, `ask` and `detect` share: one image in, a table and a picture out."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigError, RecordError, os_sentence
from schemas.grounder import Grounding
from schemas.records import PhraseStatus, Span

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.image_options import ImageOptions
    from model.teacher.load import AnyTeacher

MAX_ROWS = 40
ROWS_PER_LABEL = 6
"""Lines of the table, and of each phrase; the picture and the JSON have everything."""
_NOT_SEEN = {
    PhraseStatus.TRUNCATED: "not seen: the model has no word for it, or it is too long",
    PhraseStatus.NOT_VISUAL: "not asked: nothing to see",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A grounding with the words that were asked for.

    caption, spans: set where the words are phrases of a caption.
    """

    image: NDArray[np.uint8]
    labels: tuple[str, ...]
    grounding: Grounding
    caption: str | None = None
    spans: tuple[Span, ...] = ()


def check_threshold(threshold: float) -> None:
    """Refuse a threshold outside of [0, 1]."""
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold must be in [0, 1], got {threshold}")


def read_image(uri: str) -> NDArray[np.uint8]:
    """uint8 RGB [height, width, 3], upright.

    Raises:
        ConfigError: the image is not there or cannot be read.
    """
    from pipeline.images.decode import ImageLimits, decode_image
    from pipeline.images.fetch import read_image_uri

    try:
        return decode_image(read_image_uri(uri), ImageLimits()).array
    except RecordError as error:
        raise ConfigError(f"image {uri!r}: {error.detail}") from error


def output_path(given: Path | None, image_uri: str, command: str) -> Path:
    """Where the picture goes; its folder must exist and the name end as a picture's.

    Raises:
        ConfigError: the folder or the name is wrong.
    """
    if given is None:
        name = re.split(r"[/\\#]", image_uri.rstrip("/"))[-1].split("?")[0]
        stem = re.sub(r"[^\w.-]+", "_", Path(name).stem) or "image"
        given = Path(f"{stem}-{command}.png")
    if given.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ConfigError(f"out must end with .png, .jpg or .webp, got {str(given)!r}")
    if not given.parent.is_dir():
        raise ConfigError(f"out: there is no folder {str(given.parent)!r}")
    return given


def ground_text(options: ImageOptions, text: str, *, command: str, best_only: bool = False) -> None:
    """Find the noun phrases of a text in one image, print the answer and save the picture.

    Args:
        options: The image, the teacher, and what becomes of its answer.
        text: A caption, or a question.
        command: Part of the picture's name where none is given.
        best_only: Show one box for each phrase.

    Raises:
        ConfigError: an option is wrong, or the image cannot be read.
    """
    from model.teacher.load import load_teacher
    from model.teacher.options import TeacherOptions
    from pipeline.phrases.extract import extract_phrases
    from schemas.grounder import GroundingRequest

    check_threshold(options.threshold)
    image = read_image(options.image)
    out = output_path(options.out, options.image, command)
    phrases = extract_phrases(text)
    loaded = load_teacher(
        options.teacher,
        device=options.device,
        options=TeacherOptions(
            score_floor=options.threshold, precision=options.precision, batch_size=1
        ),
    )
    (found,) = loaded.ground([GroundingRequest(image=image, caption=text, phrases=phrases)])
    answer = Answer(
        image=image,
        labels=tuple(phrase.text for phrase in phrases),
        grounding=best_boxes(found) if best_only else found,
        caption=text,
        spans=tuple((phrase.start, phrase.end) for phrase in phrases),
    )
    show_answer(answer, loaded, out=out, threshold=options.threshold, as_json=options.json)


def best_boxes(found: Grounding) -> Grounding:
    """The best box of each phrase that has one."""
    _, first = np.unique(found.phrase_index, return_index=True)
    kept = np.sort(first)  # best score first, as before
    return found.take(kept)


def show_answer(
    answer: Answer, teacher: AnyTeacher, *, out: Path, threshold: float, as_json: bool
) -> None:
    """Print the answer and save the picture."""
    picture = _draw(answer)
    try:
        picture.save(out)
    except OSError as error:
        raise ConfigError(f"out: cannot write {str(out)!r}: {os_sentence(error)}") from error
    if as_json:
        print(json.dumps(_as_json(answer, teacher, out), ensure_ascii=False))
        return
    from rich.console import Console

    console = Console()
    # Words come from users: brackets in them are not markup.
    console.print(f"teacher {teacher.teacher_id}", markup=False)
    if teacher.note:
        Console(stderr=True).print(teacher.note, style="yellow", markup=False)
    console.print(_table(answer, threshold))
    console.print(f"picture {out}", markup=False, soft_wrap=True)


def _draw(answer: Answer) -> Any:
    from PIL import Image

    from pipeline.images.draw import draw_boxes, draw_caption
    from pipeline.images.palette import phrase_color

    found = answer.grounding
    picture = draw_boxes(
        answer.image,
        found.xyxy,
        [answer.labels[index] for index in found.phrase_index],
        [float(score) for score in found.score],
        [phrase_color(int(index)) for index in found.phrase_index],
    )
    if answer.caption is None:
        return picture
    width = max(picture.width, 320)
    strip = draw_caption(answer.caption, answer.spans, width)
    page = Image.new("RGB", (width, picture.height + strip.height), (250, 250, 248))
    page.paste(picture, (0, 0))
    page.paste(strip, (0, picture.height))
    return page


def _table(answer: Answer, threshold: float) -> Table:
    from rich.markup import escape
    from rich.table import Table

    found = answer.grounding
    table = Table("phrase" if answer.caption is not None else "name")
    table.add_column("score", justify="right")
    table.add_column("box  x0 y0 x1 y1", justify="right")
    rows: list[tuple[str, str, str]] = []
    hidden = 0
    for index, label in enumerate(answer.labels):
        mine = np.flatnonzero(found.phrase_index == index)
        rows += [
            (label, f"{found.score[k]:.3f}", " ".join(f"{v:.0f}" for v in found.xyxy[k]))
            for k in mine[:ROWS_PER_LABEL]
        ]
        hidden += len(mine[ROWS_PER_LABEL:])
        status = found.phrase_status[index]
        # Of a long class list only what was found is of interest.
        if len(mine) == 0 and (len(answer.labels) <= MAX_ROWS or status in _NOT_SEEN):
            best = float(found.phrase_best_score[index])
            if status in _NOT_SEEN:
                rows.append((label, "", _NOT_SEEN[status]))
            elif best > threshold and answer.caption is None:
                rows.append((label, f"{best:.3f}", "a competitor fits better"))
            else:
                rows.append((label, f"{best:.3f}", f"nothing over {threshold:g}"))
    for label, score, box in rows[:MAX_ROWS]:
        table.add_row(escape(label), score, box)
    hidden += len(rows[MAX_ROWS:])
    if hidden:
        table.caption = f"and {hidden} more {'line' if hidden == 1 else 'lines'}; --json prints all"
    if not answer.labels:
        table.caption = "no noun phrase to look for"
    elif not rows:
        kind = "phrases" if answer.caption is not None else "names"
        table.caption = f"none of the {len(answer.labels):,} {kind} has a box over {threshold:g}"
    return table


def _as_json(answer: Answer, teacher: AnyTeacher, out: Path) -> dict[str, Any]:
    found = answer.grounding
    if teacher.note:
        print(teacher.note, file=sys.stderr)
    return {
        "teacher": teacher.teacher_id,
        "picture": str(out),
        "caption": answer.caption,
        "phrases": [
            {
                "text": label,
                "span": list(answer.spans[index]) if answer.spans else None,
                "status": found.phrase_status[index].value,
                "best_score": round(float(found.phrase_best_score[index]), 5),
            }
            for index, label in enumerate(answer.labels)
        ],
        "boxes": [
            {
                "phrase_index": int(found.phrase_index[k]),
                "xyxy": [round(float(value), 2) for value in found.xyxy[k]],
                "score": round(float(found.score[k]), 5),
            }
            for k in range(len(found.score))
        ],
    }
