"""What every importer checks: boxes inside their image, spans inside their caption, file names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.gold.gold_set import GoldCounts
from schemas.boxes import xywh_to_xyxy
from schemas.errors import DataError
from schemas.records import Span, Xyxy

BAD_BOX = "box is not four finite numbers"
EMPTY_BOX = "box has no area inside the image"
BAD_SPAN = "span is not inside the caption"
NO_SPAN = "box without a usable span"
CROWD = "crowd region"

_PARENTHESES = re.compile(r"\([^()]*\)")


def read_json(path: str) -> Any:
    """The JSON value of a file.

    Raises:
        DataError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"gold file {path!r} cannot be read: {error}") from error
    except ValueError as error:
        raise DataError(f"gold file {path!r} is not JSON: {error}") from error


def require(row: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """`row[key]`, of the wanted type.

    Raises:
        DataError: naming the place, the key and the value.
    """
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise DataError(f"{where}: {key} must be {names}, got {value!r}")
    return value


def image_size(row: Any, where: str) -> tuple[int, int]:
    """`width` and `height` of an image entry.

    Raises:
        DataError: a side is not a positive whole number.
    """
    width, height = (require(row, key, int, where) for key in ("width", "height"))
    if width < 1 or height < 1:
        raise DataError(f"{where}: width and height must be at least 1, got {width} x {height}")
    return width, height


def usable_xyxy(corners: Any, size_wh: tuple[int, int], counts: GoldCounts) -> Xyxy | None:
    """The box clipped to its image, or None where nothing is left of it (counted)."""
    if not _four_numbers(corners):
        counts.drop(BAD_BOX)
        return None
    width, height = size_wh
    x0, x1 = (min(max(float(x), 0.0), float(width)) for x in corners[0::2])
    y0, y1 = (min(max(float(y), 0.0), float(height)) for y in corners[1::2])
    if x1 <= x0 or y1 <= y0:
        counts.drop(EMPTY_BOX)
        return None
    return (x0, y0, x1, y1)


def usable_xywh(xywh: Any, size_wh: tuple[int, int], counts: GoldCounts) -> Xyxy | None:
    """COCO's [x, y, width, height] as corners clipped to the image, or None (counted)."""
    if not _four_numbers(xywh):
        counts.drop(BAD_BOX)
        return None
    return usable_xyxy(xywh_to_xyxy([xywh])[0].tolist(), size_wh, counts)


def usable_spans(raw: Any, caption: str, counts: GoldCounts) -> tuple[Span, ...]:
    """The spans that name something inside the caption; the others are counted."""
    spans: list[Span] = []
    for span in raw if isinstance(raw, list | tuple) else ():
        if (
            isinstance(span, list | tuple)
            and len(span) == 2
            and all(isinstance(edge, int) and not isinstance(edge, bool) for edge in span)
            and 0 <= span[0] < span[1] <= len(caption)
            and caption[span[0] : span[1]].strip()
        ):
            spans.append((span[0], span[1]))
        else:
            counts.drop(BAD_SPAN)
    return tuple(dict.fromkeys(spans))


def clean_name(name: str) -> str:
    """A category name as words: no underscores, no parentheses, one space between words."""
    words = _PARENTHESES.sub(" ", name.replace("_", " ")).split()
    return " ".join(words) or name


def names_caption(names: Sequence[str]) -> tuple[str, tuple[Span, ...]]:
    """Category names joined by ". " and the span of each.

    Names that are equal after cleaning (LVIS has two kinds of "bow") still get a span each.
    """
    spans: list[Span] = []
    caption = ""
    for name in names:
        if caption:
            caption += ". "
        spans.append((len(caption), len(caption) + len(clean_name(name))))
        caption += clean_name(name)
    return caption, tuple(spans)


def join_uri(root: str, name: str) -> str:
    """`name` below `root`, for paths and URLs; an absolute name or a URL stays as it is."""
    if not root or name.startswith("/") or "://" in name:
        return name
    return f"{root.rstrip('/')}/{name}"


def _four_numbers(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(isinstance(v, float | int) and not isinstance(v, bool) for v in value)
        and all(math.isfinite(v) for v in value)
    )
