from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.gold import GoldKind, load_gold
from pipeline.gold.flickr30k import parse_sentence
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
        ({"images": coco_file()["images"] * 2}, r"images\[2\]: id 7 occurs twice"),
        ({"annotations": [{"image_id": 99}]}, r"annotations\[0\]: image_id 99 is not in images"),
        (
            {"annotations": [{"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]}]},
            r"annotations\[0\]: category_id 1 is not in categories",
        ),
        ({"categories": [{"id": 1}]}, r"categories\[0\]: name must be str, got None"),
    ],
)
def test_a_broken_coco_file_is_explained(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write_json(tmp_path / "val.json", coco_file(**changes))
    with pytest.raises(DataError, match=message):
        load_gold(path, "coco")


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
    assert sample.boxes == ((1, 2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4))
    assert sample.spans == (((0, 8),), ((0, 8),), ((13, 23),))
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
    with pytest.raises(DataError, match=r"category 'kite' is not in the label map"):
        load_gold(path, label_map=other)


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
    assert first.boxes == ((0, 0, 10, 48), (0, 0, 64, 48), (0, 0, 64, 48))
    assert first.spans == (((0, 8),), ((0, 8),), ((13, 23),))
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
        ("a.csv", "", ConfigError, r"cannot tell the gold format"),
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
    with pytest.raises(ConfigError, match=r"gold format must be one of auto, coco, .*got 'voc'"):
        load_gold("nowhere.json", "voc")
