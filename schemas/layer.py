"""Layers: what other models say about the boxes of a run, and the seam to those models."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, with_config

from schemas.checked import STRICT, from_json, to_plain
from schemas.errors import DataError
from schemas.fingerprint import fingerprint
from schemas.records import Span

LAYER_VERSION = 1
LayerKey = Literal["box_id", "record_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerKind:
    """One kind of layer.

    name: of its folder, and of its columns in policies: `clip.score`.
    key: what a row is about: a candidate box, or an image-caption pair.
    columns: beside the key, `status` and `detail`; null where the status is not `ok`.
    """

    name: str
    key: LayerKey
    columns: tuple[pa.Field, ...]

    def schema(self) -> pa.Schema:
        """Of its files."""
        return pa.schema(
            [
                pa.field(self.key, pa.string(), nullable=False),
                pa.field("status", pa.string(), nullable=False),
                pa.field("detail", pa.string(), nullable=False),
                *self.columns,
            ],
            metadata={"glipforge.schema": "layer", "glipforge.version": str(LAYER_VERSION)},
        )


_SCORE = (pa.field("score", pa.float32()), pa.field("cosine", pa.float32()))
_VECTOR = (pa.field("vector", pa.list_(pa.float32())),)
_CROWD = pa.struct(
    [
        *(pa.field(edge, pa.float32()) for edge in ("x1", "y1", "x2", "y2")),
        pa.field("category", pa.string()),
        pa.field("counts", pa.string()),
        pa.field("area", pa.int64()),
    ]
)
KINDS: Mapping[str, LayerKind] = {
    kind.name: kind
    for kind in (
        LayerKind(name="clip", key="box_id", columns=_SCORE),
        LayerKind(name="clip_image", key="record_id", columns=_SCORE),
        LayerKind(name="embeddings", key="record_id", columns=_VECTOR),
        LayerKind(name="region_embeddings", key="box_id", columns=_VECTOR),
        LayerKind(
            name="duplicates",
            key="record_id",
            columns=(pa.field("pixels_sha256", pa.string()), pa.field("dhash", pa.string())),
        ),
        LayerKind(name="stability", key="box_id", columns=(pa.field("score", pa.float32()),)),
        LayerKind(
            name="phrases",
            key="record_id",
            columns=(
                pa.field("entities", pa.list_(pa.string())),
                pa.field("expression_start", pa.list_(pa.int32())),
                pa.field("expression_end", pa.list_(pa.int32())),
            ),
        ),
        LayerKind(
            name="masks",
            key="box_id",
            columns=(
                pa.field("counts", pa.string()),
                pa.field("area", pa.int64()),
                pa.field("iou_score", pa.float32()),
            ),
        ),
        LayerKind(
            name="gold_facts",
            key="record_id",
            columns=(
                *(pa.field(name, pa.string()) for name in ("license", "license_url")),
                *(pa.field(name, pa.string()) for name in ("coco_url", "flickr_url")),
                pa.field("crowds", pa.list_(_CROWD)),
            ),
        ),
    )
}
"""Every kind there is. `score` is in [0, 1] and ranks; `cosine` is the plain similarity; a
`vector` has length 1; `dhash` is 32 hex digits; `counts` is COCO's compressed RLE of the whole
image, [height, width] of the run's row. `stability.score` is 1 where the teacher finds the box
again in changed images. `phrases` has one entry for each phrase of the pair: the
class of its named entity, empty where it is none; and the characters of its referring expression,
-1 where it has none beyond itself. `gold_facts` is what an imported file says beside its boxes:
the licence of the image, and regions that evaluation ignores, with their mask where they have
one."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """`layer.json`: which layer this is, of which run, made with what."""

    name: str
    key: LayerKey
    columns: tuple[str, ...]
    run_plan: str
    """Fingerprint of the plan of the run that it belongs to."""
    maker: Annotated[Mapping[str, Any], Field()]
    """All that changes the rows: model, hash of its weights, options."""
    version: int = LAYER_VERSION

    @property
    def layer_id(self) -> str:
        """Fingerprint of all of it."""
        return fingerprint(to_plain(self))

    def to_json(self) -> str:
        """The text of `layer.json`."""
        return json.dumps(to_plain(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Layer:
        """Read `layer.json`; `where` names the file in errors.

        Raises:
            DataError: the text is not a layer of a version this code reads.
        """
        return from_json(
            cls, text, where=where, what="layer", version=LAYER_VERSION, error=DataError
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRequest:
    """One pair of a run with its pixels.

    image: uint8 RGB [height, width, 3], EXIF already applied.
    boxes: float32 [N, 4], xyxy in pixels of the image.
    phrases: [N], the words that each box was found for.
    """

    image: NDArray[np.uint8]
    caption: str
    boxes: NDArray[np.float32]
    phrases: tuple[str, ...]
    spans: tuple[Span, ...] = ()
    """[N], the characters of each box's phrase in the caption."""
    scores: tuple[float, ...] = ()
    """[N], the teacher's."""


LayerAnswer = dict[str, dict[str, Sequence[Any]]]
"""Layer -> column -> values: one for each box of the request, or one value for the pair."""


class LayerScorer(Protocol):
    """Anything that makes the rows of some layers from pixels."""

    @property
    def kinds(self) -> tuple[LayerKind, ...]:
        """The layers that it makes, in one pass over the pixels."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes the rows: weights hash, options. JSON."""
        ...

    def score(self, requests: Sequence[LayerRequest], wanted: Collection[str]) -> list[LayerAnswer]:
        """Answer every request, in order.

        Args:
            requests: Any number.
            wanted: Names of its layers; others may be left out.
        """
        ...
