"""The picture at the top of the README: drawn scenes, labelled by the shipped teacher.

python -m tests.golden.make_picture
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from glipforge import GroundingRequest, TeacherOptions, extract_phrases, load_teacher, open_corpus
from jobs.cli import main
from pipeline.images.decode import ImageLimits, decode_image
from pipeline.images.draw import contact_sheet, draw_boxes, draw_caption
from pipeline.images.palette import phrase_color

FILE = Path(__file__).parents[2] / "docs" / "pictures" / "labelled.webp"
SCENES, SIDE, WIDTH, COLUMNS = 24, 256, 330, 3
THRESHOLD = 0.5


def labelled(folder: Path) -> list[tuple[float, Image.Image, Image.Image]]:
    """For each scene the mean of its phrases' best scores, the picture, and the caption."""
    assert main(["demo", "world", "--out", str(folder), "--scenes", str(SCENES)]) == 0
    corpus = open_corpus(str(folder))
    teacher = load_teacher("shipped", options=TeacherOptions(score_floor=THRESHOLD))
    found = []
    for record in (record for unit in corpus.units() for record in corpus.read(unit)):
        if record.caption is None or record.image_bytes is None:
            continue
        pixels = decode_image(record.image_bytes, ImageLimits()).array
        phrases = extract_phrases(record.caption)
        request = GroundingRequest(image=pixels, caption=record.caption, phrases=phrases)
        (answer,) = teacher.ground([request])
        scale = SIDE / pixels.shape[1]
        large = Image.fromarray(pixels).resize(
            (SIDE, round(pixels.shape[0] * scale)), Image.Resampling.LANCZOS
        )
        picture = draw_boxes(
            large,
            answer.xyxy * scale,
            [phrases[k].head or phrases[k].text for k in answer.phrase_index],
            colors=[phrase_color(int(k)) for k in answer.phrase_index],
        )
        spans = [(phrase.start, phrase.end) for phrase in phrases]
        caption = draw_caption(record.caption, spans, WIDTH)
        best = [
            max(answer.score[answer.phrase_index == k], default=0.0) for k in range(len(phrases))
        ]
        found.append((float(np.mean(best)) if best else 0.0, picture, caption))
    return found


def make() -> bytes:
    """The sheet as WebP."""
    with tempfile.TemporaryDirectory() as folder:
        scenes = sorted(labelled(Path(folder) / "world"), key=lambda scene: -scene[0])
    chosen = scenes[: 2 * COLUMNS]
    sheet = contact_sheet(
        [picture for _, picture, _ in chosen],
        [caption for _, _, caption in chosen],
        COLUMNS,
        cell_width=WIDTH,
    )
    data = io.BytesIO()
    sheet.save(data, "WEBP", quality=82, method=6)
    return data.getvalue()


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(make())
