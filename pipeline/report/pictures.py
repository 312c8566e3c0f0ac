"""Sample pictures of curated records, as small JPEG data URLs."""

from __future__ import annotations

import base64
import hashlib
import heapq
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.decode import ImageLimits, decode_image
from pipeline.images.draw import draw_boxes, draw_caption
from pipeline.images.fetch import read_image_uri
from pipeline.images.palette import phrase_color
from schemas.errors import RecordError
from schemas.records import CuratedRecord

WIDTH = 420
_MAX_GROWTH = 3.0


@dataclass(frozen=True, kw_only=True)
class SamplePicture:
    """A picture with its boxes, or why there is none."""

    record_id: str
    data_url: str
    failure: str = ""


def choose_samples(records: Iterable[CuratedRecord], number: int) -> list[CuratedRecord]:
    """A fixed random choice: the records whose ids have the smallest hashes."""
    keyed = ((hashlib.sha256(r.record_id.encode()).hexdigest(), r) for r in records)
    chosen = heapq.nsmallest(number, keyed, key=lambda entry: entry[0])
    return [record for _, record in chosen]


def sample_pictures(
    records: Sequence[CuratedRecord], limits: ImageLimits, access: ImageAccess = ANYTHING
) -> list[SamplePicture]:
    """Pictures of records, under the limits of their run.

    An image that cannot be read any more gives its reason.
    """
    pictures = []
    for record in records:
        try:
            image = decode_image(read_image_uri(record.image_uri, access=access), limits)
        except RecordError as error:
            pictures.append(
                SamplePicture(record_id=record.record_id, data_url="", failure=str(error))
            )
            continue
        url = _data_url(labelled_picture(record, Image.fromarray(image.array)))
        pictures.append(SamplePicture(record_id=record.record_id, data_url=url))
    return pictures


def labelled_picture(record: CuratedRecord, image: Image.Image) -> Image.Image:
    """The image with its boxes in the colours of their phrases, over the coloured caption."""
    drawn, strip = boxes_picture(record, image, WIDTH), caption_strip(record, WIDTH)
    picture = Image.new("RGB", (WIDTH, drawn.height + strip.height), (250, 250, 248))
    picture.paste(drawn, ((WIDTH - drawn.width) // 2, 0))
    picture.paste(strip, (0, drawn.height))
    return picture


def boxes_picture(record: CuratedRecord, image: Image.Image, width: int) -> Image.Image:
    """The image with its boxes, its longer side `width` pixels (small ones grow threefold)."""
    scale = min(_MAX_GROWTH, width / image.width, width / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return draw_boxes(
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS),
        [[v * scale for v in box.xyxy] for box in record.boxes],
        [" / ".join(record.phrases[i].text for i in box.phrase_indices) for box in record.boxes],
        [box.score for box in record.boxes],
        [phrase_color(box.phrase_indices[0]) for box in record.boxes],
    )


def caption_strip(record: CuratedRecord, width: int) -> Image.Image:
    """The caption, its phrases that have a box in the colours of their boxes."""
    named = sorted({i for box in record.boxes for i in box.phrase_indices})
    spans = [(record.phrases[i].start, record.phrases[i].end) for i in named]
    return draw_caption(record.caption, spans, width, [phrase_color(i) for i in named])


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
