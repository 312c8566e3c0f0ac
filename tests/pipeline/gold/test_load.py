from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.gold import load_gold
from schemas.errors import ConfigError, DataError
from tests.pipeline.gold.files import coco_file, write_json


@pytest.mark.parametrize(
    "name, text, error, message",
    [
        ("a.json", "{", DataError, r"a.json' is not JSON"),
        ("a.json", "[]", ConfigError, r"cannot tell the gold format of '.*a.json'; name one of"),
        ("a.jsonl", "", ConfigError, r"a.jsonl' is empty"),
        ("a.jsonl", "{}\n{", DataError, r"a.jsonl line 1: neither an ODVG row"),
        ("a.dat", "", ConfigError, r"cannot tell the gold format"),
    ],
)
def test_what_cannot_be_gold_is_explained(
    tmp_path: Path, name: str, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=message):
        load_gold(str(tmp_path / name))


def test_missing_path_and_unknown_format() -> None:
    with pytest.raises(ConfigError, match=r"gold 'nowhere.json' does not exist"):
        load_gold("nowhere.json")
    with pytest.raises(ConfigError, match=r"gold format must be one of auto, coco, .*got 'kitti'"):
        load_gold("nowhere.json", "kitti")


def test_categories_may_stand_behind_many_annotations(tmp_path: Path) -> None:
    """The order of COCO's own files: info, licenses, images, annotations, categories."""
    raw = coco_file()
    one = raw["annotations"][0]
    many = [one | {"id": number} for number in range(1, 3_000)]
    ordered = {"info": {}, "licenses": [], "images": raw["images"], "annotations": many}
    path = write_json(tmp_path / "instances.json", ordered | {"categories": raw["categories"]})
    assert load_gold(path).format == "coco"
