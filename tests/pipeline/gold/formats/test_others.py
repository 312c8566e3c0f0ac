"""Formats of annotation tools and public data sets."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.gold import GoldKind, GoldSet, load_gold
from schemas.errors import DataError


def picture(path: Path, size: tuple[int, int] = (100, 80)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def boxes_of(gold: GoldSet, number: int = 0) -> list[tuple[tuple[float, ...], str]]:
    sample = gold.samples[number]
    categories = gold.box_categories[sample.sample_id]
    return [
        (tuple(round(v, 4) for v in xyxy), gold.categories[category])
        for xyxy, category in zip(sample.boxes, categories, strict=True)
    ]


# --- Pascal VOC ----------------------------------------------------------------------------------

VOC = """<annotation><filename>a.jpg</filename>
<size><width>{width}</width><height>80</height></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax><ymax>{ymax}</ymax></bndbox></object>
<object><name>dog</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""


def test_voc(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "Annotations/a.xml").write_text(VOC.format(width=100, ymax=60))
    gold = load_gold(str(tmp_path))
    assert (gold.format, gold.categories) == ("voc", ("cat", "dog"))
    assert boxes_of(gold) == [((10, 20, 40, 60), "cat")]
    assert gold.samples[0].image_uri == f"{tmp_path}/JPEGImages/a.jpg"
    assert [box.category for box in gold.ignored["a"]] == [1]
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/val.txt").write_text("a -1\n")
    assert len(load_gold(str(tmp_path), split="val").samples) == 1


def test_voc_without_a_size_asks_the_image(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(VOC.format(width=0, ymax=60))
    gold = load_gold(str(tmp_path), "voc")
    assert [n for key, n in gold.counts.items() if "size is not in the file" in key] == [1]
    picture(tmp_path / "a.jpg")
    assert load_gold(str(tmp_path), "voc").samples[0].width == 100


@pytest.mark.parametrize(
    "text, message",
    [
        ("<annotation", r"a.xml' is not XML"),
        (VOC.format(width="wide", ymax=60), r"a.xml: width must be a number, got 'wide'"),
        (VOC.format(width=100, ymax="low"), r"object 1: ymax must be a number, got 'low'"),
        (VOC.format(width=100, ymax=9).replace("cat", " "), r"object 1 has no name"),
    ],
)
def test_a_broken_voc_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=message):
        load_gold(str(tmp_path), "voc")


# --- YOLO ----------------------------------------------------------------------------------------


def yolo(folder: Path, lines: str, **config: Any) -> Path:
    picture(folder / "images/val/a.jpg")
    picture(folder / "images/val/b.jpg")
    (folder / "labels/val").mkdir(parents=True)
    (folder / "labels/val/a.txt").write_text(lines)
    raw = {"path": "/not/here", "val": "images/val", "names": {0: "cat", 2: "dog"}} | config
    (folder / "data.yaml").write_text(json.dumps(raw))
    return folder


def test_yolo(tmp_path: Path) -> None:
    lines = "2 0.5 0.5 0.2 0.5\n0 .1 .1 .3 .1 .3 .4\n\n0 0.5 0.5 0.1 0.1 0.93\n"
    gold = load_gold(str(yolo(tmp_path, lines)))
    assert (gold.format, gold.categories, gold.category_ids) == ("yolo", ("cat", "dog"), (0, 2))
    assert boxes_of(gold) == [
        ((40, 20, 60, 60), "dog"),
        ((10, 8, 30, 32), "cat"),  # around a polygon
        ((45, 36, 55, 44), "cat"),  # with a confidence
    ]
    assert gold.samples[1].boxes == ()  # an image without a label file has no box
    (tmp_path / "labels/val/gone.txt").write_text("")
    gold = load_gold(str(tmp_path), "yolo", split="val")
    assert gold.counts["dropped: label file of an image that is not there"] == 1


@pytest.mark.parametrize(
    "lines, message",
    [
        ("1 0.5 0.5 0.2 0.5", r"a.txt line 1: class 1 is not among the 2 names"),
        ("cat 0.5 0.5 0.2 0.5", r"a.txt line 1: a line must be numbers, got 'cat"),
        ("0 0.5 0.5", r"a line must be a class and 4 numbers.*got 2 numbers"),
    ],
)
def test_a_broken_yolo_line_is_explained(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_gold(str(yolo(tmp_path, lines)))


def test_a_broken_yolo_config_is_explained(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "", names=[])
    with pytest.raises(DataError, match=r"names of .* must be an object of numbers to names"):
        load_gold(str(folder))
    (folder / "data.yaml").write_text("names: [cat]\nval: nowhere\n")
    with pytest.raises(DataError, match=r"'nowhere' is neither a folder nor a list of images"):
        load_gold(str(folder))
    with pytest.raises(DataError, match=r"has no split 'test'"):
        load_gold(str(folder), split="test")


# --- annotation tools ----------------------------------------------------------------------------


def result(value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"original_width": 100, "original_height": 80, "value": value} | more


def test_label_studio(tmp_path: Path) -> None:
    box = {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["cat", "pet"]}
    turned = {"x": 50, "y": 50, "width": 20, "height": 10, "rotation": 90}
    turned["rectanglelabels"] = ["dog"]
    points = {"points": [[10, 10], [20, 10], [20, 30]], "polygonlabels": ["bird"]}
    apart = {"x": 0, "y": 0, "width": 10, "height": 10}
    results = [result(box), result(turned), result(points)]
    results += [result(apart, id="r"), {"id": "r", "value": {"labels": ["cow"]}}]
    results.append({"value": {"choices": ["good"]}})
    results.append(result({"x": 50, "y": 50, "radiusX": 20, "radiusY": 5, "rotation": 90}))
    results[-1]["value"]["ellipselabels"] = ["egg"]
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/3/a.jpg"}, "annotations": [{"result": results}]},
        {"id": 2, "data": {"image": "b.jpg"}, "annotations": []},
        {
            "id": 3,
            "data": {"image": "/data/local-files/?d=sub%2Fc.jpg"},
            "annotations": [{"result": results, "was_cancelled": True}, {"result": results[:1]}],
        },
    ]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    gold = load_gold(str(path))
    assert gold.format == "label-studio"
    assert boxes_of(gold) == [
        ((10, 16, 40, 48), "cat"),
        ((10, 16, 40, 48), "pet"),
        ((42, 40, 50, 60), "dog"),
        ((10, 8, 20, 24), "bird"),
        ((0, 0, 10, 8), "cow"),
        ((46, 20, 54, 60), "egg"),
    ]
    assert [sample.image_uri for sample in gold.samples] == [
        f"{tmp_path}/3/a.jpg",
        f"{tmp_path}/sub/c.jpg",
    ]
    assert gold.counts["dropped: task that nobody has labelled"] == 1
    assert gold.counts["dropped: result that is not a rectangle, a polygon or an ellipse"] == 1


@pytest.mark.parametrize(
    "tasks, message",
    [
        ([{"data": {}, "annotations": []}], r"tasks\[0\]: data has no image or"),
        ([{"data": {"image": "a"}, "annotations": 3}], r"annotations must be list, got 3"),
        (
            [{"data": {"image": "a"}, "annotations": [{"result": [{"value": {"x": 1, "y": 1}}]}]}],
            r"",
        ),
        ([7], r"tasks\[0\] must be an object, got 7"),
    ],
)
def test_a_broken_label_studio_file_is_explained(
    tmp_path: Path, tasks: list[Any], message: str
) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    if message:
        with pytest.raises(DataError, match=message):
            load_gold(str(path), "label-studio")
    else:
        assert load_gold(str(path), "label-studio").samples == ()


def test_cvat(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        '<?xml version="1.0"?><annotations><meta><task><labels><label><name>dog</name></label>'
        "<label><name>cat</name></label></labels></task></meta>"
        '<image name="a.jpg" width="100" height="80">'
        '<box label="cat" xtl="10.0" ytl="20.0" xbr="40.5" ybr="60.25"/>'
        '<polygon label="dog" points="1,2;30,2;30,40"/><points label="dog" points="1,2"/></image>'
        '<image name="b.jpg" width="100" height="80"/></annotations>'
    )
    gold = load_gold(str(path))
    assert (gold.format, gold.categories) == ("cvat", ("dog", "cat"))
    assert boxes_of(gold) == [((10, 20, 40.5, 60.25), "cat"), ((1, 2, 30, 40), "dog")]
    assert gold.counts["dropped: shape without an area (points, polyline)"] == 1
    assert len(gold.samples) == 2
    path.write_text("<annotations><track id='0'/></annotations>")
    with pytest.raises(DataError, match=r"has tracks of a video: export it as 'CVAT for images'"):
        load_gold(str(path))


# --- public data sets ----------------------------------------------------------------------------


def test_open_images(tmp_path: Path) -> None:
    picture(tmp_path / "i1.jpg")
    (tmp_path / "class-descriptions-boxable.csv").write_text("/m/1,Cat\n/m/2,Dog\n")
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
    path = tmp_path / "boxes.csv"
    path.write_text(
        head + "i1,x,/m/1,1,0.1,0.4,0.25,0.75,0,0\ni1,x,/m/2,1,0,1,0,1,0,1\n"
        "i2,x,/m/2,1,0,1,0,1,0,0\n"
    )
    gold = load_gold(str(path))
    assert (gold.format, gold.is_exhaustive) == ("openimages", False)
    assert boxes_of(gold) == [((10, 20, 40, 60), "Cat")]
    assert gold.counts["dropped: group of objects in one box: a region to ignore"] == 1
    assert [n for key, n in gold.counts.items() if "size is not in the file" in key] == [1]
    path.write_text(head.replace("YMax", "y") + "i1,x,/m/1,1,0,1,0,1,0,0\n")
    with pytest.raises(DataError, match=r"line 1: the column YMax is missing"):
        load_gold(str(path), "openimages")
    path.write_text(head + "i1,x,/m/1,1,a,1,0,1,0,0\n")
    with pytest.raises(DataError, match=r"line 2: XMin, XMax, YMin and YMax must be numbers"):
        load_gold(str(path), "openimages")


REF = {"ref_id": 1, "ann_id": 5, "image_id": 7, "split": "val", "sent_ids": [1, 2]}
REF |= {"sentences": [{"sent_id": 1, "sent": "the cat"}, {"sent_id": 2, "sent": "left one"}]}


def refcoco(folder: Path, refs: Any) -> str:
    instances = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [{"id": 5, "image_id": 7, "bbox": [10, 20, 30.5, 40.25]}],
        "categories": [],
    }
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "refs(unc).p").write_bytes(refs if isinstance(refs, bytes) else pickle.dumps(refs, 2))
    return str(folder)


def test_refcoco(tmp_path: Path) -> None:
    gold = load_gold(refcoco(tmp_path, [REF, REF | {"ann_id": 6, "split": "testA"}]))
    assert (gold.format, gold.kind) == ("refcoco", GoldKind.GROUNDING)
    assert [(s.caption, s.boxes, s.spans) for s in gold.samples] == [
        ("the cat", ((10, 20, 40.5, 60.25),), (((0, 7),),)),
        ("left one", ((10, 20, 40.5, 60.25),), (((0, 8),),)),
    ]
    assert len(gold.counts) == 3
    with pytest.raises(DataError, match=r"has no split 'testB'; it has testA, val$"):
        load_gold(str(tmp_path), split="testB")


def told(words: str) -> None:
    print(words)


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (told, ("it ran",))


@pytest.mark.parametrize(
    "content, message",
    [
        ([Evil()], r"the pickle asks for \S*test_others.told"),
        (b"nothing", r"is not a pickle"),
        ({"a": 1}, r"must hold a list of expressions"),
    ],
)
def test_a_pickle_is_data_only(
    tmp_path: Path, content: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=message):
        load_gold(refcoco(tmp_path, content))
    assert "it ran" not in capsys.readouterr().out
