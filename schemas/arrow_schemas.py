"""The columns of every table that this product writes, with their version in the metadata."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_BOX_FIELDS = [_required(name, pa.float32()) for name in ("x0", "y0", "x1", "y1")]
PHRASE_TYPE = pa.struct(
    [
        _required("text", pa.string()),
        _required("start", pa.int32()),
        _required("end", pa.int32()),
        _required("head", pa.string()),
        _required("status", pa.string()),
        _required("best_score", pa.float32()),
    ]
)
BOX_TYPE = pa.struct(
    [
        _required("box_id", pa.string()),
        _required("phrase_index", pa.int32()),
        *_BOX_FIELDS,
        _required("score", pa.float32()),
        _required("token_score", pa.float32()),
        _required("centerness", pa.float32()),
    ]
)
CURATED_BOX_TYPE = pa.struct(
    [
        _required("box_id", pa.string()),
        *_BOX_FIELDS,
        _required("phrase_indices", pa.list_(_required("item", pa.int32()))),
        _required("score", pa.float32()),
        _required("origin", pa.string()),
    ]
)
_PAIR_FIELDS = [
    _required("record_id", pa.string()),
    _required("source", pa.string()),
    _required("image_uri", pa.string()),
    _required("image_sha256", pa.string()),
    _required("width", pa.int32()),
    _required("height", pa.int32()),
    _required("caption", pa.string()),
]


def _schema(name: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(
        fields, metadata={"glipforge.schema": name, "glipforge.version": str(SCHEMA_VERSION)}
    )


PAIR_FIELDS_ADDED = (_required("caption_origin", pa.string()),)
"""Columns that the first files of pairs do not have: there every caption is the corpus' own."""
ANNOTATION_FIELDS_ADDED = (
    *PAIR_FIELDS_ADDED,
    _required("proposed_by", pa.list_(_required("item", pa.string()))),
)
"""`proposed_by`: of an ensemble's boxes the teachers that found each; empty where there is one."""
ANNOTATION_SCHEMA = _schema(
    "annotation",
    [
        *_PAIR_FIELDS,
        _required("status", pa.string()),
        _required("detail", pa.string()),
        _required("phrases", pa.list_(_required("item", PHRASE_TYPE))),
        _required("boxes", pa.list_(_required("item", BOX_TYPE))),
        _required("teacher_id", pa.string()),
        *ANNOTATION_FIELDS_ADDED,
    ],
)
CURATED_SCHEMA = _schema(
    "curated",
    [
        *_PAIR_FIELDS,
        _required("phrases", pa.list_(_required("item", PHRASE_TYPE))),
        _required("boxes", pa.list_(_required("item", CURATED_BOX_TYPE))),
        _required("teacher_id", pa.string()),
        _required("policy_id", pa.string()),
        _required("decisions_id", pa.string()),
        *PAIR_FIELDS_ADDED,
    ],
)
_XYXY_TYPE = pa.list_(_required("item", pa.float32()), 4)
DECISION_FIELDS_ADDED = (
    _required("reason", pa.string()),
    _required("before_review", pa.string()),
    pa.field("before_xyxy", _XYXY_TYPE, nullable=True),
    pa.field("before_phrase_index", pa.int32(), nullable=True),
    _required("carried_from", pa.string()),
    pa.field("span", pa.list_(pa.int32()), nullable=True),
)
"""Columns that the first decision files do not have; they are read as empty there."""
DECISION_SCHEMA = _schema(
    "decision",
    [
        _required("decision_id", pa.string()),
        _required("record_id", pa.string()),
        _required("box_id", pa.string()),
        _required("verdict", pa.string()),
        pa.field("xyxy", _XYXY_TYPE, nullable=True),
        pa.field("phrase_index", pa.int32(), nullable=True),
        _required("reviewer", pa.string()),
        _required("decided_at", pa.string()),
        *DECISION_FIELDS_ADDED,
    ],
)
ADDED = {
    b"annotation": ANNOTATION_FIELDS_ADDED,
    b"curated": PAIR_FIELDS_ADDED,
    b"decision": DECISION_FIELDS_ADDED,
}
"""Kind of table -> the columns that its first files do not have, as they came: a file has the first
so many of them."""
