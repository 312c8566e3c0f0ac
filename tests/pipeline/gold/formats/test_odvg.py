from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.gold import load_gold
from schemas.errors import DataError
from tests.pipeline.gold.files import odvg_row, write_json, write_lines


def test_odvg_grounding(tmp_path: Path) -> None:
    row = odvg_row(
        {"phrase": "two kids", "bbox": [[1, 2, 3, 4], [2, 3, 4, 5]], "tokens_positive": [[0, 8]]},
        {"phrase": "a red kite", "bbox": [1, 2, 3, 4]},  # once in the caption: the span is sure
        {"phrase": "i", "bbox": [1, 2, 3, 4]},  # twice: which one is not known
        {"phrase": "a blue kite", "bbox": [1, 2, 3, 4]},
    )
    gold = load_gold(write_lines(tmp_path / "vg.jsonl", row))
    (sample,) = gold.samples
    assert sample.boxes == ((1, 2, 3, 4), (2, 3, 4, 5))  # a box of two phrases is one box
    assert sample.spans == (((0, 8), (13, 23)), ((0, 8),))
    assert sample.source == "vg"
    assert gold.counts["dropped: box without a usable span"] == 2


def test_odvg_detection_with_label_map(tmp_path: Path) -> None:
    instance = {"bbox": [1, 2, 3, 4], "label": 1, "category": "kite"}
    row = {"filename": "a.jpg", "width": 64, "height": 48, "detection": {"instances": [instance]}}
    path = write_lines(tmp_path / "od.jsonl", row)
    label_map = write_json(tmp_path / "labels.json", {"1": "kite", "0": "kid"})
    gold = load_gold(path, label_map=label_map)
    assert gold.categories == ("kid", "kite")
    assert gold.box_categories["od/0"] == (1,)
    other = write_json(tmp_path / "other.json", {"0": "kid"})
    with pytest.raises(DataError, match=r"label 1 is not in the label map"):
        load_gold(path, label_map=other)


def test_odvg_rows_with_labels_alone_need_names(tmp_path: Path) -> None:
    row = {"filename": "a.jpg", "width": 64, "height": 48}
    row["detection"] = {"instances": [{"bbox": [1, 2, 3, 4], "label": 1}]}
    path = write_lines(tmp_path / "od.jsonl", row)
    names = write_json(tmp_path / "labels.json", ["kid", "kite"])
    assert load_gold(path, label_map=names).samples[0].caption == "kite"
    with pytest.raises(DataError, match=r"instances\[0\]: category must be str.*--label-map FILE"):
        load_gold(path)


def test_where_label_and_category_disagree_the_label_counts(tmp_path: Path) -> None:
    row = {"filename": "a.jpg", "width": 64, "height": 48}
    row["detection"] = {"instances": [{"bbox": [1, 2, 3, 4], "label": 1, "category": "kid"}]}
    path = write_lines(tmp_path / "od.jsonl", row)
    gold = load_gold(path, label_map=write_json(tmp_path / "m.json", {"0": "kid", "1": "kite"}))
    assert gold.samples[0].caption == "kite"
    assert [n for key, n in gold.counts.items() if "disagree" in key] == [1]


def test_a_name_under_two_numbers_is_counted(tmp_path: Path) -> None:
    row = {"filename": "a.jpg", "width": 64, "height": 48}
    row["detection"] = {"instances": [{"bbox": [1, 2, 3, 4], "label": 2}]}
    path = write_lines(tmp_path / "od.jsonl", row)
    names = {"0": "kid", "1": "kite", "2": "kid"}
    gold = load_gold(path, label_map=write_json(tmp_path / "m.json", names))
    assert gold.categories == ("kid", "kite", "kid")
    assert [n for key, n in gold.counts.items() if "several numbers" in key] == [1]


@pytest.mark.parametrize(
    "content, message",
    [
        ({"\u00b2": "kite"}, r"must be an object of numbers to names, got the key '\u00b2'"),
        ({"1": 3, "01": "x"}, r"the number 1 occurs twice"),
        ({"1": ["x"]}, r"the name of '1' must be a string, got \['x'\]"),
        ([], r"must be an object of numbers to names, or a list of names"),
        ("x", r"must be an object of numbers to names, or a list of names"),
    ],
)
def test_a_broken_label_map_is_explained(tmp_path: Path, content: Any, message: str) -> None:
    path = write_lines(tmp_path / "od.jsonl", odvg_row())
    with pytest.raises(DataError, match=message):
        load_gold(path, label_map=write_json(tmp_path / "m.json", content))


@pytest.mark.parametrize(
    "rows, message",
    [
        ([{"filename": "a"}], r"o.jsonl line 1: a row must have grounding or detection"),
        ([odvg_row({"phrase": "x"})], r"line 1: regions\[0\]: bbox must be list, got None"),
        ([odvg_row(width=None)], r"line 1: width must be int, got None"),
        (
            [
                odvg_row(),
                {"filename": "a", "width": 1, "height": 1, "detection": {"instances": []}},
            ],
            r"mixes 1 grounding and 1 detection rows",
        ),
    ],
)
def test_a_broken_odvg_file_is_explained(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_gold(write_lines(tmp_path / "o.jsonl", *rows), "odvg")
