"""What every importer checks: boxes inside their image, spans inside their caption, file names."""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline.gold.gold_set import GoldCounts
from pipeline.gold.opened import READ_ERRORS, opened, opened_lines, opened_text
from schemas.errors import DataError, reason_of
from schemas.records import Span, Xyxy

BAD_BOX = "box is not four finite numbers"
EMPTY_BOX = "box has no area inside the image"
OUTSIDE = "box leaves its image"
BAD_SPAN = "span is not inside the caption"
ODD_SPAN = "span is not two whole numbers"
FLAT_SPAN = "span is given without its list: [[0, 5]], not [0, 5]"
NO_SPAN = "box without a usable span"
CROWD = "crowd region"
NO_IMAGE = "annotation of an image that is not listed"
NO_CATEGORY = "annotation of a category that is not listed"
REPEATED_IMAGE = "image whose id occurred before"
REPEATED_CATEGORY = "category whose id occurred before"
REPEATED_ANNOTATION = "annotation whose id occurred before (it is used all the same)"

EDGE_PX = 1e-3
"""Rounding in a file may put an edge this far outside; it is moved back without a count."""
_LARGEST_SIDE = 2**31 - 1
_TINY = 1.0
"""A box with a smaller side may have none in single precision, in which runs keep corners."""
_FLOAT32 = struct.Struct("4f")
_PARENTHESES = re.compile(r"\([^()]*\)")
_FLAGS = {None: False, "0": False, "1": True, "false": False, "true": True}


def read_json(path: str) -> Any:
    """The JSON value of a file.

    Raises:
        DataError: the file cannot be read or is not JSON.
    """
    try:
        with opened(path) as stream:
            return json.loads(stream.read())
    except READ_ERRORS as error:
        raise DataError(f"gold file {path!r} cannot be read: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"gold file {path!r} is not JSON: {error}") from error


def read_json_lines(path: str) -> Iterator[tuple[str, Any]]:
    """Each line of a JSONL file with its place in words; blank lines are skipped.

    Raises:
        DataError: the file cannot be read, or a line is not JSON.
    """
    number = 0
    try:
        with opened_lines(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path} line {number}", json.loads(line)
    except READ_ERRORS as error:
        raise DataError(f"gold file {path!r} cannot be read: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} line {number} is not JSON: {error}") from error


def read_text(path: str | Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        DataError: the file cannot be read, or is neither UTF-8 nor UTF-16.
    """
    try:
        with opened_text(path) as text:
            return text.read().replace("\r\n", "\n")
    except (*READ_ERRORS, UnicodeError) as error:
        raise DataError(f"gold file {str(path)!r} cannot be read: {reason_of(error)}") from error


def require(row: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """`row[key]`, of the wanted type.

    Raises:
        DataError: naming the place, the key and the value.
    """
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        if not isinstance(row, dict):
            raise DataError(f"{where} must be an object with {key}, got {row!r:.100}")
        raise DataError(f"{where}: {key} must be {names}, got {value!r:.100}")
    return whole_text(value, key, where) if isinstance(value, str) else value


def whole_text(value: str, key: str, where: str) -> str:
    """The text itself, if it can be stored.

    Raises:
        DataError: it has half a character (a lone surrogate, which JSON can spell).
    """
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: {key} is not valid Unicode text: {error}") from error
    return value


def entry_id(row: Any, key: str, where: str) -> Any:
    """An id of a COCO-shaped file, an int or a str; 7.0 is 7.

    Raises:
        DataError: it is neither a whole number nor text.
    """
    value = row.get(key) if isinstance(row, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return require(row, key, (int, str), where)


def image_size(row: Any, where: str) -> tuple[int, int]:
    """`width` and `height` of an image entry; 640.0 is 640.

    Raises:
        DataError: a side is not a positive whole number.
    """
    width, height = (_whole(row, key, where) for key in ("width", "height"))
    if width < 1 or height < 1:
        raise DataError(f"{where}: width and height must be at least 1, got {width} x {height}")
    if max(width, height) > _LARGEST_SIDE:
        raise DataError(
            f"{where}: width and height must be at most {_LARGEST_SIDE:,}, got {width} x {height}"
        )
    return width, height


def is_set(row: Any, key: str, where: str) -> bool:
    """A flag of a row: a number (0 is false), true or false, also as text; absent is false.

    Raises:
        DataError: the value is none of these.
    """
    value = row.get(key)
    if isinstance(value, int | float):
        return bool(value)
    value = value.lower() if isinstance(value, str) else value
    try:
        return _FLAGS[value]
    except (KeyError, TypeError):
        raise DataError(f"{where}: {key} must be 0 or 1, got {value!r:.100}") from None


def usable_xyxy(
    corners: Any, size_wh: tuple[int, int], counts: GoldCounts, where: str = ""
) -> Xyxy | None:
    """The box clipped to its image, or None where nothing is left of it (counted)."""
    numbers = finite_numbers(corners)
    if numbers is None:
        counts.drop(BAD_BOX, where=where)
        return None
    return _inside(*numbers, size_wh, counts, where)


def usable_xywh(
    xywh: Any, size_wh: tuple[int, int], counts: GoldCounts, where: str = ""
) -> Xyxy | None:
    """COCO's [x, y, width, height] as corners clipped to the image, or None (counted)."""
    numbers = finite_numbers(xywh)
    if numbers is None:
        counts.drop(BAD_BOX, where=where)
        return None
    x, y, width, height = numbers
    return _inside(x, y, x + width, y + height, size_wh, counts, where)


def usable_spans(raw: Any, caption: str, counts: GoldCounts, where: str = "") -> tuple[Span, ...]:
    """The spans that name something inside the caption; the others are counted."""
    spans: list[Span] = []
    if isinstance(raw, list | tuple) and len(raw) == 2 and all(_is_whole(edge) for edge in raw):
        counts.drop(FLAT_SPAN, where=where)
        return ()
    for span in raw if isinstance(raw, list | tuple) else ():
        if not (isinstance(span, list | tuple) and len(span) == 2 and all(map(_is_whole, span))):
            counts.drop(ODD_SPAN, where=where)
        elif 0 <= span[0] < span[1] <= len(caption) and caption[span[0] : span[1]].strip():
            spans.append((span[0], span[1]))
        else:
            counts.drop(BAD_SPAN, where=where)
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
    """`name` below `root`, for paths and URLs; an absolute name or a URL stays as it is.

    Names with backslashes or percent signs are taken as a Windows path or as encoded where only
    that file is there.
    """
    if not root or name.startswith("/") or "://" in name:
        return name
    uri = f"{root.rstrip('/')}/{name}"
    if ("\\" in name or "%" in name) and "://" not in root and "\0" not in name:
        for other in (name.replace("\\", "/"), unquote(name)):
            path = f"{root.rstrip('/')}/{other}"
            if not os.path.exists(uri) and os.path.isfile(path):
                return path
    return uri


def finite_numbers(value: Any) -> tuple[float, float, float, float] | None:
    """Four finite numbers of a file, or None."""
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    if not all(isinstance(v, float | int) and not isinstance(v, bool) for v in value):
        return None
    try:
        a, b, c, d = (float(v) for v in value)
    except OverflowError:
        return None
    return (a, b, c, d) if all(map(math.isfinite, (a, b, c, d))) else None


def _inside(
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    size_wh: tuple[int, int],
    counts: GoldCounts,
    where: str,
) -> Xyxy | None:
    width, height = size_wh
    box = (
        min(max(x0, 0.0), float(width)),
        min(max(y0, 0.0), float(height)),
        min(max(x1, 0.0), float(width)),
        min(max(y1, 0.0), float(height)),
    )
    shorter = min(box[2] - box[0], box[3] - box[1])
    if 0 < shorter < _TINY:
        left, top, right, bottom = _FLOAT32.unpack(_FLOAT32.pack(*box))
        shorter = min(right - left, bottom - top)
    if shorter <= 0:
        counts.drop(EMPTY_BOX, where=where)
        return None
    if x0 < -EDGE_PX or y0 < -EDGE_PX or x1 > width + EDGE_PX or y1 > height + EDGE_PX:
        counts.clip(OUTSIDE, where=where)
    return box


def _whole(row: Any, key: str, where: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(require(row, key, int, where))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
