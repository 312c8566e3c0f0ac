from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.gold import GoldKind, load_gold
from pipeline.gold.formats.coco import NO_FILE_NAME, NO_NAME
from pipeline.gold.picture_sizes import NO_SIZE, ODD_SIZE
from pipeline.validate.check import validate
from schemas.errors import DataError
from tests.pipeline.gold.files import coco_file, write_json


def test_coco(tmp_path: Path) -> None:
    gold = load_gold(write_json(tmp_path / "val.json", coco_file()))
    assert (gold.format, gold.kind, gold.is_exhaustive) == ("coco", GoldKind.DETECTION, True)
    assert gold.categories == ("traffic_light", "kite")  # in id order
    first, empty = gold.samples
    assert (first.sample_id, first.image_uri) == ("val/7", f"{tmp_path}/a.jpg")
    assert (first.caption, first.boxes, first.spans) == ("kite", ((1, 2, 4, 6),), (((0, 4),),))
    assert gold.box_categories["val/7"] == (1,)
    assert [box.category for box in gold.ignored["val/7"]] == [0]
    assert (empty.caption, empty.boxes) == ("", ())
    assert gold.counts == {
        "boxes": 1,
        "dropped: box has no area inside the image": 1,
        "dropped: crowd region": 1,
        "samples": 2,
    }


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"images": None}, r"val.json: images must be list, got None"),
        ({"images": [{"id": 1, "coco_url": 3}]}, r"images\[0\]: coco_url must be str, got 3"),
        ({"images": [{"id": 1, "file_name": 7}]}, r"images\[0\]: file_name must be str, got 7"),
        ({"images": [{"id": [1]}]}, r"images\[0\]: id must be int or str, got \[1\]"),
        ({"annotations": {"1": {}}}, r"val.json: annotations must be list, got {'1': {}}"),
        ({"annotations": [3]}, r"annotations\[0\] must be an object with image_id, got 3"),
        ({"images": [None]}, r"images\[0\] must be an object with id, got None"),
        ({"annotations": [{"image_id": 7}]}, r"category_id must be int or str, got None"),
        (
            {"annotations": [{"image_id": 7, "category_id": 9, "iscrowd": "maybe"}]},
            r"annotations\[0\]: iscrowd must be 0 or 1, got 'maybe'",
        ),
        ({"categories": [{"name": "kite"}]}, r"categories\[0\]: id must be int or str, got None"),
        ({"categories": None}, r"val.json: categories must be list, got None"),
        ({"categories": ["kite"]}, r"categories\[0\] must be an object with id, got 'kite'"),
    ],
)
def test_a_broken_coco_file_is_explained(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write_json(tmp_path / "val.json", coco_file(**changes))
    with pytest.raises(DataError, match=message):
        load_gold(path, "coco")


def test_what_pycocotools_loads_is_read_or_counted(tmp_path: Path) -> None:
    raw = coco_file()
    raw["images"][0]["width"] = 64.0
    raw["images"].append(raw["images"][0])
    raw["categories"] += [{"id": 9, "name": "again"}, {"id": "ball", "name": "ball"}]
    box = {"bbox": [1, 2, 3, 4], "category_id": "ball", "image_id": 7}
    raw["annotations"] = [
        box | {"iscrowd": "0"},
        box | {"iscrowd": False},
        box | {"image_id": 99},
        box | {"category_id": 77},
        box | {"bbox": [1, 2, 10**400, 4]},
        box | {"bbox": [60, 40, 10, 4]},
    ]
    gold = load_gold(write_json(tmp_path / "val.json", raw))
    assert gold.categories == ("traffic_light", "kite", "ball")
    assert gold.category_ids == (3, 9, "ball")
    assert gold.box_categories["val/7"] == (2, 2, 2)
    assert gold.samples[0].boxes[-1] == (60, 40, 64, 44)
    assert {key: n for key, n in gold.counts.items() if ":" in key} == {
        "clipped: box leaves its image": 1,
        "dropped: annotation of a category that is not listed": 1,
        "dropped: annotation of an image that is not listed": 1,
        "dropped: box is not four finite numbers": 1,
        "dropped: category whose id occurred before": 1,
        "dropped: image whose id occurred before": 1,
    }


def test_names_that_are_odd_are_no_ones_loss(tmp_path: Path) -> None:
    """pycocotools never looks at them."""
    names = ["kite", 5, 2.5, 3.0, "", " ", None, True, ["a"], "a/b", "x" * 200, "line\nend", "猫"]
    raw = coco_file()
    raw["categories"] = [{"id": n, "name": name} for n, name in enumerate(names)]
    raw["categories"].append({"id": "last"})
    box = {"image_id": 7, "bbox": [1, 2, 3, 4]}
    raw["annotations"] = [box | {"category_id": n} for n in (*range(len(names)), "last")]
    gold = load_gold(write_json(tmp_path / "val.json", raw))
    texts = ("kite", "5", "2.5", "3", "4", "5", "6", "7", "8", "a/b", "x" * 200, "line\nend", "猫")
    assert gold.categories == (*texts, "last")
    assert gold.box_categories["val/7"] == tuple(range(14))
    assert gold.counts[f"clipped: {NO_NAME}"] == 6


def test_null_and_unknown_fields_are_no_ones_loss(tmp_path: Path) -> None:
    raw = coco_file(info=None, licenses=None, videos=[1])
    raw["images"] = [one | {"date": {}, "license": None} for one in raw["images"]]
    del raw["images"][1]["file_name"]
    raw["categories"][0] |= {"supercategory": None, "skeleton": [[1, 2]]}
    box = {"image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]}
    nothing = {"area": None, "segmentation": None, "id": None, "iscrowd": None, "score": "x"}
    raw["annotations"] = [
        box | nothing,
        box | {"iscrowd": 2.0},
        box | {"bbox": None},
        box | {"bbox": ["1", "2", "3", "4"]},
        box | {"category_id": None},
    ]
    gold = load_gold(write_json(tmp_path / "val.json", raw))
    assert [len(sample.boxes) for sample in gold.samples] == [1, 0]
    assert [box.category for box in gold.ignored["val/7"]] == [1]
    assert gold.samples[1].image_uri == f"{tmp_path}/8"
    assert {key: n for key, n in gold.counts.items() if ":" in key} == {
        f"clipped: {NO_FILE_NAME}": 1,
        "dropped: annotation of a category that is not listed": 1,
        "dropped: box is not four finite numbers": 2,
        "dropped: crowd region": 1,
    }


@pytest.mark.parametrize("extra", [{}, {"caption": "a kite"}])
def test_a_list_of_images_is_not_gold_of_empty_images(
    tmp_path: Path, extra: dict[str, Any]
) -> None:
    raw = coco_file()
    del raw["annotations"]
    raw["images"] = [one | extra for one in raw["images"]]
    path = write_json(tmp_path / "image_info.json", raw)
    with pytest.raises(DataError, match=r"image_info.json' has no annotations: it lists the image"):
        load_gold(path)
    found = load_gold(path, labelled=False)
    assert (len(found.samples), found.is_labelled) == (2, False)
    assert not validate(path, images=False).problems
    del raw["categories"]
    assert len(load_gold(write_json(tmp_path / "a.json", raw), labelled=False).samples) == 2


def test_boxes_without_any_category_list_are_counted(tmp_path: Path) -> None:
    raw = coco_file()
    del raw["categories"]
    gold = load_gold(write_json(tmp_path / "val.json", raw))
    assert gold.counts["dropped: annotation of a category that is not listed"] == 3


SIZES = ({}, {"width": 0, "height": 5}, {"width": "9", "height": 5}, {"width": 10**30, "height": 1})


@pytest.mark.parametrize("name", ["coco", "mdetr"])
def test_a_size_that_is_none_is_that_of_the_image(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg")
    images = [{"id": float(n), "file_name": "a.jpg"} | size for n, size in enumerate(SIZES)]
    images.append({"id": 9, "file_name": "gone.jpg"})
    boxes = [{"id": n, "image_id": n, "category_id": 3.0} for n in (*range(len(SIZES)), 9)]
    boxes = [box | {"bbox": [30, 0, 30, 30], "tokens_positive": [[0, 1]]} for box in boxes]
    raw = coco_file(images=[one | {"caption": "a b"} for one in images], annotations=boxes)
    gold = load_gold(write_json(tmp_path / "val.json", raw), name)
    assert [sample.boxes for sample in gold.samples] == [((30, 0, 40, 30),)] * len(SIZES)
    assert {key: n for key, n in gold.counts.items() if ":" in key} == {
        "clipped: box leaves its image": len(SIZES),
        f"clipped: {ODD_SIZE}": 3,
        f"dropped: {NO_SIZE}": 1,
        "dropped: annotation of an image that is not listed": 1,
    }


def test_annotations_may_come_first(tmp_path: Path) -> None:
    raw = coco_file()
    backwards = {key: raw[key] for key in ("annotations", "categories", "images")}
    forwards = load_gold(write_json(tmp_path / "val.json", raw))
    assert load_gold(write_json(tmp_path / "val.json", backwards)) == forwards


def test_lvis_is_told_by_any_image(tmp_path: Path) -> None:
    raw = coco_file()
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    raw["images"] = [raw["images"][0] | lists, raw["images"][1] | lists]
    assert load_gold(write_json(tmp_path / "a.json", raw)).format == "lvis"
    del raw["images"][0]["neg_category_ids"]
    with pytest.raises(DataError, match=r"images\[0\]: neg_category_ids must be list, got None"):
        load_gold(write_json(tmp_path / "a.json", raw))


@pytest.mark.parametrize("listed", [[[1]], [{}], [None]])
def test_odd_category_lists_are_explained(tmp_path: Path, listed: list[Any]) -> None:
    raw = coco_file()
    for image in raw["images"]:
        image |= {"neg_category_ids": listed, "not_exhaustive_category_ids": []}
    with pytest.raises(DataError, match=r"images\[0\]: neg_category_ids must hold ids, got"):
        load_gold(write_json(tmp_path / "a.json", raw))


def test_a_coco_export_is_known_by_its_record_ids(tmp_path: Path) -> None:
    raw = coco_file()
    raw["images"][0]["record_id"] = "web/00000/7"
    gold = load_gold(write_json(tmp_path / "val.json", raw))
    assert [sample.sample_id for sample in gold.samples] == ["web/00000/7", "val/8"]


def test_lvis_keeps_listed_negatives_and_counts_what_is_not_exhaustive(tmp_path: Path) -> None:
    image = {"id": 7, "coco_url": "http://images.example.org/val2017/a.jpg", "width": 64}
    image |= {"height": 48, "neg_category_ids": [3], "not_exhaustive_category_ids": [9]}
    raw = coco_file(images=[image], annotations=coco_file()["annotations"][:1])
    gold = load_gold(write_json(tmp_path / "lvis.json", raw), image_root="root")
    sample = gold.samples[0]
    assert (gold.format, gold.is_exhaustive) == ("lvis", False)
    assert sample.image_uri == "root/val2017/a.jpg"
    assert sample.caption == "kite. traffic light"
    assert [sample.caption[a:b] for a, b in sample.negative_spans] == ["traffic light"]
    assert gold.counts["categories not exhaustive in an image"] == 1
    assert gold.absent == {"lvis/7": (0,)}
    assert gold.not_exhaustive == {"lvis/7": (1,)}
    raw["images"][0]["neg_category_ids"] = [4]
    path = write_json(tmp_path / "lvis.json", raw)
    gold = load_gold(path)  # as the lvis package: a file of some categories may list others
    assert gold.absent == {}
    assert gold.counts["dropped: neg_category_ids has an id which is not in categories"] == 1
