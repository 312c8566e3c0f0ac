from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.gold import GoldKind, load_gold
from pipeline.gold.formats.flickr30k import parse_sentence
from schemas.errors import ConfigError, DataError

KITE = "two kids fly a red kite"


def write_json(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def write_lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def coco_file(**changes: Any) -> dict[str, Any]:
    image = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48}
    categories = [{"id": 9, "name": "kite"}, {"id": 3, "name": "traffic_light"}]
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 64, 48], "iscrowd": 1},
        {"id": 3, "image_id": 7, "category_id": 3, "bbox": [70, 0, 5, 5]},
    ]
    return {
        "images": [image, image | {"id": 8, "file_name": "b.jpg"}],
        "categories": categories,
        "annotations": annotations,
    } | changes


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
        ({"images": [{"id": 1}]}, r"images\[0\]: coco_url must be str, got None"),
        (
            {"images": [{"id": 1, "file_name": "a", "width": 0, "height": 5}]},
            r"images\[0\]: width and height must be at least 1, got 0 x 5",
        ),
        (
            {"images": [{"id": 1, "file_name": "a", "width": "9", "height": 5}]},
            r"images\[0\]: width must be int, got '9'",
        ),
        ({"annotations": {"1": {}}}, r"val.json: annotations must be list, got {'1': {}}"),
        ({"annotations": [3]}, r"annotations\[0\] must be an object with image_id, got 3"),
        ({"images": [None]}, r"images\[0\] must be an object with id, got None"),
        ({"annotations": [{"image_id": 7}]}, r"category_id must be int or str, got None"),
        (
            {"annotations": [{"image_id": 7, "category_id": 9, "iscrowd": "maybe"}]},
            r"annotations\[0\]: iscrowd must be 0 or 1, got 'maybe'",
        ),
        ({"categories": [{"id": 1, "name": " "}]}, r"categories\[0\]: name must not be empty"),
        ({"categories": [{"id": 1}]}, r"categories\[0\]: name must be str, got None"),
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
    with pytest.raises(DataError, match=r"images\[0\]: neg_category_ids has .* not in categories"):
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
    with pytest.raises(DataError, match=r"neg_category_ids has 4, which is not in categories"):
        load_gold(path)


def mdetr_file(**image: Any) -> dict[str, Any]:
    entry = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48, "caption": KITE}
    return {
        "images": [entry | {"tokens_negative": [[0, 23]]} | image],
        "annotations": [
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [[0, 8]]},
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [[13, 14], [15, 23]]},
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": []},
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [[0, 99]]},
            {"image_id": 7, "bbox": [0, 0, 0, 4], "tokens_positive": [[0, 8]]},
        ],
        "categories": [{"id": 1, "name": "object"}],
    }


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


def odvg_row(*regions: Any, **changes: Any) -> dict[str, Any]:
    row = {"filename": "a.jpg", "width": 64, "height": 48}
    return row | {"grounding": {"caption": KITE, "regions": list(regions)}} | changes


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


def test_imagefolder_both_layouts(tmp_path: Path) -> None:
    size = {"width": 64, "height": 48}
    mine = [{"bbox": [1, 2, 3, 4], "category": "dog", "iscrowd": 0}]
    theirs = {"bbox": [[1, 2, 3, 4]], "categories": ["cat"]}
    write_lines(
        tmp_path / "metadata.jsonl",
        {"file_name": "images/a.jpg", "caption": "x", "boxes": mine} | size,
        {"file_name": "images/b.jpg", "objects": theirs} | size,
        {"file_name": "images/c.jpg", "boxes": []} | size,
    )
    gold = load_gold(str(tmp_path))
    assert gold.categories == ("cat", "dog")
    assert [s.caption for s in gold.samples] == ["dog", "cat", ""]
    assert gold.samples[0].image_uri == f"{tmp_path}/images/a.jpg"
    assert gold.samples[0].sample_id == "images/a.jpg"


def test_hugging_face_rows_with_numbers_and_without_sizes(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg")
    objects = {"bbox": [[1, 2, 3, 4], [5, 6, 7, 8]], "category": [1, 0], "iscrowd": [0, 1]}
    path = write_lines(
        tmp_path / "metadata.jsonl",
        {"file_name": "a.jpg", "objects": objects},
        {"file_name": "b.jpg", "width": 64, "height": 48, "objects": None},
        {"file_name": "gone.jpg", "objects": None},
        {"file_name": "d.jpg", "width": 9, "height": 9}
        | {"objects": [{"bbox": [1, 1, 2, 2], "category": "cat"}]},
    )
    gold = load_gold(path)
    assert gold.categories == ("0", "1", "cat")
    assert [(s.width, s.caption) for s in gold.samples] == [(64, "1"), (64, ""), (9, "cat")]
    assert gold.counts["dropped: crowd region"] == 1
    assert [n for key, n in gold.counts.items() if "size is not in the file" in key] == [1]
    names = "[cat, dog]"
    (tmp_path / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: objects\n    sequence:\n"
        f"    - name: category\n      dtype:\n        class_label:\n          names: {names}\n"
        "---\nText.\n"
    )
    gold = load_gold(path)
    assert gold.categories == ("cat", "dog")
    assert gold.samples[0].caption == "dog"
    own = write_json(tmp_path / "own.json", {"0": "kid", "1": "kite"})
    assert load_gold(path, label_map=own).categories == ("kid", "kite", "cat")


def test_an_imagefolder_without_boxes_is_explained(tmp_path: Path) -> None:
    row = {"file_name": "a.jpg", "caption": "x", "width": 64, "height": 48}
    path = write_lines(tmp_path / "metadata.jsonl", row)
    with pytest.raises(DataError, match=r"line 1: boxes must be list, got None"):
        load_gold(path)


@pytest.mark.parametrize(
    "line, caption, phrases",
    [
        ("", "", []),
        ("no phrase here .", "no phrase here .", []),
        ("[/EN#11/people Two kids] fly", "Two kids fly", [((0, 8), "11")]),
        ("A [/EN#2/bodyparts/clothing red hat] .", "A red hat .", [((2, 9), "2")]),
        ("[/EN#0/notvisual It] [/EN#3/x é]", "It é", [((0, 2), "0"), ((3, 4), "3")]),
        ("[/EN#11 Some fireworks] .", "Some fireworks .", [((0, 14), "11")]),
    ],
)
def test_flickr_sentences(line: str, caption: str, phrases: list) -> None:
    assert parse_sentence(line, where="t") == (caption, phrases)


def test_an_open_bracket_is_explained() -> None:
    with pytest.raises(DataError, match=r"1.txt line 2: the bracket at column 3 is not closed"):
        parse_sentence("A [/EN#1/people man", where="1.txt line 2")


def test_flickr30k(tmp_path: Path) -> None:
    folder = tmp_path / "flickr"
    for name in ("Sentences", "Annotations"):
        (folder / name).mkdir(parents=True)
    (folder / "Sentences" / "36.txt").write_text(
        "[/EN#1/people Two kids] fly [/EN#2/other a red kite] over [/EN#3/scene the sea] .\n"
        "[/EN#0/notvisual Fun] with [/EN#4/other wind] and [/EN#5/other joy] .\n"
    )
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>48</ymax></bndbox>"
    (folder / "Annotations" / "36.xml").write_text(
        "<annotation><size><width>64</width><height>48</height><depth>3</depth></size>"
        f"<object><name>1</name>{box.format(10)}</object>"
        f"<object><name>1</name><name>2</name>{box.format(64)}</object>"
        "<object><name>3</name><scene>1</scene><nobndbox>0</nobndbox></object>"
        "<object><name>4</name><scene>0</scene><nobndbox>1</nobndbox></object></annotation>"
    )
    gold = load_gold(str(folder))
    first, second = gold.samples
    assert first.caption == "Two kids fly a red kite over the sea ."
    assert first.boxes == ((0, 0, 10, 48), (0, 0, 64, 48))
    assert first.spans == (((0, 8),), ((0, 8), (13, 23)))
    assert first.image_uri == f"{folder}/flickr30k-images/36.jpg"
    assert second.boxes == ()
    dropped = {key: value for key, value in gold.counts.items() if key.startswith("dropped")}
    assert set(dropped.values()) == {1}
    assert len(dropped) == 4  # scene, not visual, no box, unknown chain
    (folder / "val.txt").write_text("36\n")
    assert len(load_gold(str(folder), split="val.txt").samples) == 2
    (folder / "val.txt").write_text("37\n")
    with pytest.raises(DataError, match=r"37.xml' cannot be read"):
        load_gold(str(folder), split="val.txt")


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
