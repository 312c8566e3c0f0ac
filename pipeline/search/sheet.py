"""What a search found as one picture, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.draw import contact_sheet, draw_boxes
from pipeline.layers.enrich_unit import labelled_image
from pipeline.search.words import Found, PhraseHit
from schemas.errors import ConfigError, RecordError


def sheet(
    hits: Sequence[PhraseHit], *, columns: int = 4, access: ImageAccess = ANYTHING
) -> tuple[Image.Image, list[str]]:
    """A contact sheet of the hits, each with its boxes; and why some are not on it.

    Args:
        hits: Rows with their boxes.
        columns: Of the sheet.
        access: What images may be read from.

    Raises:
        ConfigError: no image of them can be read.
    """
    pictures: list[Image.Image] = []
    captions: list[str] = []
    failures: list[str] = []
    for hit in hits:
        try:
            image = labelled_image(hit.row, access)
        except RecordError as error:
            failures.append(f"{hit.row.record_id}: {error.detail}")
            continue
        shown = set(hit.box_ids)
        boxes = [box for box in hit.row.boxes if box.box_id in shown]
        pictures.append(
            draw_boxes(
                image,
                [box.xyxy for box in boxes],
                [hit.row.phrases[box.phrase_index].text for box in boxes],
                [box.score for box in boxes],
            )
        )
        captions.append(f"{hit.score:.2f}  {hit.row.caption}")
    if not pictures:
        said = failures[0] if failures else "nothing was found"
        raise ConfigError(f"sheet: there is no picture to show: {said}")
    return contact_sheet(pictures, captions, columns=columns), failures


def as_plain(found: Found) -> dict[str, Any]:
    """Plain JSON values; boxes are xyxy in pixels."""
    return {
        "pairs": found.pairs,
        "phrases": found.phrases,
        "hits": [_hit(hit) for hit in found.hits],
    }


def _hit(hit: PhraseHit) -> dict[str, Any]:
    phrase = hit.row.phrases[hit.phrase_index].text if hit.phrase_index >= 0 else ""
    chosen = set(hit.box_ids)
    return {
        "record_id": hit.row.record_id,
        "image_uri": hit.row.image_uri,
        "caption": hit.row.caption,
        "phrase": phrase,
        "phrase_index": hit.phrase_index,
        "score": round(hit.score, 6),
        "boxes": [
            {"box_id": box.box_id, "xyxy": list(box.xyxy), "score": round(box.score, 6)}
            for box in sorted(hit.row.boxes, key=lambda box: -box.score)
            if box.box_id in chosen
        ],
    }
