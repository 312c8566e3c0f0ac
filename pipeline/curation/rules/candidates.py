"""The candidates of many pairs as flat arrays: what the rules of a policy work on.

R pairs, P phrases, N boxes. Pair r's boxes are those from `box_offsets[r]` up to
`box_offsets[r + 1]`, its phrases likewise; a box knows its pair and its phrase by number, so that a
rule is one operation over every box at once, whichever pair it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.checks import EDGE_TOLERANCE_PX
from schemas.errors import DataError
from schemas.records import Annotation
from schemas.tables import annotations_to_table

Ints = NDArray[np.int64]

COLUMNS = (
    "record_id",
    "width",
    "height",
    "caption",
    "status",
    "phrases.text",
    "phrases.start",
    "phrases.end",
    "phrases.head",
    "phrases.status",
    "boxes.phrase_index",
    "boxes.x0",
    "boxes.y0",
    "boxes.x1",
    "boxes.y1",
    "boxes.score",
)
"""What `candidates_of` needs of a table of annotations; no rule reads more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """The phrases of all pairs, one after the other."""

    offsets: Ints
    """[R + 1]"""
    text: pa.Array
    head: pa.Array
    status: pa.Array
    chars: Ints
    """[P], length in characters."""
    entities: pa.Array | None = None
    """[P], classes of named entities, empty where there is none; None: the layer was not read."""

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """All boxes of some pairs."""

    box_offsets: Ints
    """[R + 1]"""
    row_of: Ints
    """[N], the pair of each box."""
    phrase_of: Ints
    """[N], the phrase of each box, counted over all pairs."""
    scores: NDArray[np.float32]
    """[N], the teacher's."""
    corners: tuple[NDArray[np.float32], ...]
    """x0, y0, x1, y1, each [N], in pixels."""
    areas_px: NDArray[np.float64]
    """[R], of each image."""
    caption_chars: Ints
    """[R]"""
    statuses: pa.Array
    """[R], values of `Status`."""
    phrases: Phrases
    region_scores: NDArray[np.float32] | None = None
    """[N], a second model's score of each region, see `layer_scores.py`."""
    image_scores: NDArray[np.float64] | None = None
    """[R], a second model's score of each image with its caption; likewise."""
    layers: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Column of a layer -> its values, [N] of boxes or [R] of pairs; NaN where there is none."""

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.box_offsets) - 1

    @property
    def num_boxes(self) -> int:
        """N."""
        return len(self.scores)

    def boxes_at(self, index: Ints) -> NDArray[np.float64]:
        """The boxes of these numbers, [K, 4] as float64, in which every rule computes."""
        return np.stack([corner[index] for corner in self.corners], axis=1).astype(np.float64)


def candidates_of(table: pa.Table) -> Candidates:
    """The candidates of a table of annotations that holds at least `COLUMNS`.

    Raises:
        DataError: a box or a phrase breaks the contract; names the row, the field and the value.
    """
    box_offsets, boxes = flat_list(table, "boxes")
    phrase_offsets, phrases = flat_list(table, "phrases")
    per_row = np.diff(box_offsets)
    row_of = np.repeat(np.arange(table.num_rows), per_row)
    local = _numbers(boxes, "phrase_index", np.int64)
    widths, heights = (_column(table, name).to_numpy() for name in ("width", "height"))
    start, end = (_numbers(phrases, name, np.int64) for name in ("start", "end"))
    found = Candidates(
        box_offsets=box_offsets,
        row_of=row_of,
        phrase_of=local + np.repeat(phrase_offsets[:-1], per_row),
        scores=_numbers(boxes, "score", np.float32),
        corners=tuple(_numbers(boxes, name, np.float32) for name in ("x0", "y0", "x1", "y1")),
        areas_px=widths.astype(np.float64) * heights,
        caption_chars=pc.utf8_length(_column(table, "caption")).to_numpy().astype(np.int64),
        statuses=_column(table, "status"),
        phrases=Phrases(
            offsets=phrase_offsets,
            text=phrases.field("text"),
            head=phrases.field("head"),
            status=phrases.field("status"),
            chars=end - start,
        ),
    )
    _check(found, local, widths, heights, table)
    return found


def candidates_of_rows(rows: Sequence[Annotation]) -> Candidates:
    """The candidates of checked rows.

    Raises:
        DataError: a row breaks the contract.
    """
    return candidates_of(annotations_to_table(rows))


def flat_list(table: pa.Table, name: str) -> tuple[Ints, pa.StructArray]:
    """Offsets [R + 1] from 0, and the values one after the other, of a column of lists.

    Raises:
        DataError: a list or a value is null.
    """
    column = _column(table, name)
    offsets = column.offsets.to_numpy().astype(np.int64)
    values = column.flatten()
    if column.null_count or values.null_count:
        raise DataError(f"column {name} must not hold null")
    return offsets - offsets[0] if len(offsets) else np.zeros(1, np.int64), values


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if array.null_count:
        raise DataError(f"column {name} must not hold null")
    return array


def _numbers(values: pa.StructArray, name: str, kind: type) -> NDArray[Any]:
    field = values.field(name)
    if field.null_count:
        raise DataError(f"field {name} must not hold null")
    return np.asarray(field.to_numpy(zero_copy_only=True), dtype=kind)


def _check(
    found: Candidates, local: Ints, widths: NDArray[Any], heights: NDArray[Any], table: pa.Table
) -> None:
    """What the border checks of a row's numbers, over all of them; a bad one is told by row."""
    x0, y0, x1, y1 = found.corners
    edge, per_row = np.float32(EDGE_TOLERANCE_PX), np.diff(found.box_offsets)
    wide, high = (np.repeat(side.astype(np.float32) + edge, per_row) for side in (widths, heights))
    # Written so that a NaN fails: no comparison with it is true.
    good = (found.scores >= 0) & (found.scores <= 1) & (x1 > x0) & (y1 > y0)
    good &= (x0 >= -edge) & (y0 >= -edge) & (x1 <= wide) & (y1 <= high)
    good &= (local >= 0) & (local < np.repeat(np.diff(found.phrases.offsets), per_row))
    if good.all():
        return
    number = int(np.flatnonzero(~good)[0])
    row = int(found.row_of[number])
    box = [float(corner[number]) for corner in found.corners]
    raise DataError(
        f"row {row} ({table.column('record_id')[row].as_py()!r}): "
        f"boxes[{number - int(found.box_offsets[row])}] must have a score in [0, 1], a phrase of "
        f"its row and corners inside of the image of {widths[row]} x {heights[row]} pixels, got "
        f"score {float(found.scores[number])!r}, phrase_index {int(local[number])}, xyxy {box}"
    )
