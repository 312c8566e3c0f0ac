from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.gold import GoldKind, load_gold
from tests.pipeline.gold.files import KITE, mdetr_file, write_json


def test_mdetr(tmp_path: Path) -> None:
    gold = load_gold(write_json(tmp_path / "mixed.json", mdetr_file()))
    (sample,) = gold.samples
    assert (gold.format, gold.kind) == ("mdetr", GoldKind.GROUNDING)
    assert sample.spans == (((0, 8),), ((13, 14), (15, 23)))
    assert sample.negative_spans == ()  # the whole caption is not a negative
    assert gold.counts == {
        "boxes": 2,
        "dropped: box has no area inside the image": 1,
        "dropped: box without a usable span": 2,
        "dropped: negative span that overlaps a named one": 1,
        "dropped: span is not inside the caption": 1,
        "samples": 1,
    }


def test_mdetr_keeps_real_negatives_and_our_record_id(tmp_path: Path) -> None:
    raw = mdetr_file(tokens_negative=[[9, 12]], record_id="toy/0")
    (sample,) = load_gold(write_json(tmp_path / "m.json", raw)).samples
    assert sample.sample_id == "toy/0"
    assert sample.negative_spans == ((9, 12),)


@pytest.mark.parametrize("mark", [{"dataset_name": "refcoco"}, {"tokens_negative": []}, {}])
def test_captions_with_spans_are_grounding_beside_any_categories(
    tmp_path: Path, mark: dict[str, Any]
) -> None:
    """MDETR's referring-expression files copy COCO's categories."""
    raw = mdetr_file()
    del raw["images"][0]["tokens_negative"]
    raw["images"][0] |= mark
    raw["categories"] = [{"id": n, "name": name} for n, name in enumerate(("kid", "kite"))]
    raw["annotations"].insert(0, {"image_id": 7, "bbox": [1, 2, 3, 4], "category_id": 0})
    gold = load_gold(write_json(tmp_path / "refexp.json", raw))
    assert (gold.format, gold.kind) == ("mdetr", GoldKind.GROUNDING)
    assert gold.samples[0].caption == KITE


def test_a_flat_span_is_said_to_be_one(tmp_path: Path) -> None:
    raw = mdetr_file()
    raw["annotations"] = [{"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [0, 8]}]
    gold = load_gold(write_json(tmp_path / "m.json", raw))
    assert gold.counts["dropped: span is given without its list: [[0, 5]], not [0, 5]"] == 1


@pytest.mark.parametrize("span", [[0], ["0", "8"], [0, 8, 9], [0.0, 8.0], 8, None])
def test_a_span_of_other_values_is_said_to_be_one(tmp_path: Path, span: Any) -> None:
    raw = mdetr_file()
    raw["annotations"] = [{"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [span]}]
    gold = load_gold(write_json(tmp_path / "m.json", raw))
    assert gold.counts["dropped: span is not two whole numbers"] == 1
