"""The Arrow border: what comes back is what went in, and what is wrong is named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.arrow_schemas import ANNOTATION_SCHEMA
from schemas.errors import DataError
from schemas.records import Phrase, Status, Verdict
from schemas.tables import (
    annotations_to_table,
    curated_to_table,
    decisions_to_table,
    table_to_annotations,
    table_to_curated,
    table_to_decisions,
)
from tests.schemas.builders import (
    make_annotation,
    make_box,
    make_curated,
    make_decision,
    make_phrase,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "schemas"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [make_annotation(status=Status.IMAGE_CORRUPT, detail="cut", boxes=(), phrases=(), width=0)],
        [make_annotation(status=Status.NO_BOXES, boxes=())],
        [make_annotation(caption="犬 a dog 😀", phrases=(make_phrase("犬 a dog 😀", "a dog"),))],
        [make_annotation(), make_annotation(record_id="toy/1")],
    ],
    ids=["empty", "failed", "no boxes", "unicode", "two"],
)
def test_annotations_round_trip_through_parquet(rows: list, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(annotations_to_table(rows), path)
    assert table_to_annotations(pq.read_table(path)) == rows


def test_curated_and_decisions_round_trip() -> None:
    curated = [make_curated(), make_curated(record_id="b", boxes=())]
    assert table_to_curated(curated_to_table(curated)) == curated
    decisions = [
        make_decision(),
        make_decision(decision_id="d1", verdict=Verdict.DROP, xyxy=None, phrase_index=None),
    ]
    assert table_to_decisions(decisions_to_table(decisions)) == decisions


BAD_ANNOTATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("no id", {"record_id": ""}, "record_id must not be empty"),
    ("null caption", {"caption": None}, "caption must be a string, got None"),
    ("lone surrogate", {"caption": "a dog and a café\ud800"}, "caption is not valid Unicode"),
    ("negative width", {"width": -1}, r"width must be a whole number >= 0, got -1"),
    ("status text", {"status": "ok"}, "status must be a Status, got 'ok'"),
    ("ok without boxes", {"boxes": ()}, "status ok with 0 boxes"),
    ("failed with boxes", {"status": Status.IMAGE_CORRUPT}, "status image_corrupt with 1 boxes"),
    ("nan", {"boxes": (make_box(xyxy=(0, 0, math.nan, 1)),)}, r"boxes\[0\]: xyxy must be four"),
    ("inverted", {"boxes": (make_box(xyxy=(5, 0, 5, 1)),)}, "must have x1 > x0"),
    ("outside", {"boxes": (make_box(xyxy=(0, 0, 65, 1)),)}, "leaves the image of 64 x 48"),
    ("phrase index", {"boxes": (make_box(phrase_index=2),)}, r"in \[0, 2\), got 2"),
    ("score", {"boxes": (make_box(score=1.5),)}, r"score must be in \[0, 1\], got 1.5"),
    ("nan score", {"boxes": (make_box(score=math.nan),)}, r"score must be in \[0, 1\], got nan"),
    ("twice", {"boxes": (make_box(), make_box())}, "box_id 'toy/0#0' occurs twice"),
    (
        "span",
        {"phrases": (Phrase(text="a cat", start=0, end=5),)},
        r"caption\[0:5\] is 'a dog', not the text 'a cat'",
    ),
    ("empty span", {"phrases": (Phrase(text="", start=3, end=3),)}, "text must not be empty"),
]


@pytest.mark.parametrize(
    ("changes", "message"),
    [case[1:] for case in BAD_ANNOTATIONS],
    ids=[case[0] for case in BAD_ANNOTATIONS],
)
def test_bad_annotations_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        annotations_to_table([make_annotation(), make_annotation(**changes)])
    assert "row 1" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "keep"}, "verdict must be a Verdict, got 'keep'"),
        ({"verdict": Verdict.ADD, "phrase_index": None}, "add needs xyxy and phrase_index"),
        ({"xyxy": None, "phrase_index": None}, "edit needs xyxy or phrase_index"),
        ({"reviewer": ""}, "reviewer must not be empty"),
    ],
)
def test_bad_decisions_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        decisions_to_table([make_decision(**changes)])


def test_a_null_inside_a_list_is_found_on_the_way_in() -> None:
    table = annotations_to_table([make_annotation()])
    raw = table.to_pylist()
    raw[0]["boxes"][0]["score"] = None
    torn = pa.Table.from_pylist(raw, schema=ANNOTATION_SCHEMA)
    with pytest.raises(DataError, match=r"row 0 .*score must be in \[0, 1\], got None"):
        table_to_annotations(torn)


def test_a_foreign_table_and_another_version_are_refused() -> None:
    table = annotations_to_table([make_annotation()])
    with pytest.raises(DataError, match="glipforge.schema must be 'annotation', got None"):
        table_to_annotations(table.replace_schema_metadata(None))
    newer = {"glipforge.schema": "annotation", "glipforge.version": "99"}
    with pytest.raises(DataError, match=r"glipforge.version must be '1', got '99'"):
        table_to_annotations(table.replace_schema_metadata(newer))
    with pytest.raises(DataError, match="table schema must be"):
        table_to_annotations(table.drop_columns(["detail"]))


def test_every_released_version_is_read() -> None:
    """Files written by `python -m tests.schemas.golden` for each schema version."""
    files = sorted(GOLDEN.glob("annotation-v*.parquet"))
    assert files, "the golden files are missing: run python -m tests.schemas.golden"
    for path in files:
        assert table_to_annotations(pq.read_table(path))[0].record_id == "toy/0"
