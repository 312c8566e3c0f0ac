"""Files of annotation tools and public data sets as they are, and as an attacker writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from pipeline.gold import load_gold
from pipeline.validate.check import validate
from schemas.errors import DataError
from tests.pipeline.gold.formats.test_others import boxes_of, picture, yolo

HEAD = "<filename>a.jpg</filename><size><width>100</width><height>80</height></size>"
CAT = (
    "<object><name>{}</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax>"
    "<ymax>60</ymax></bndbox></object>"
)
LAUGHS = '<!DOCTYPE a [<!ENTITY l0 "lol">{}]>'.format(
    "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
)
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "{}">]>'


def voc(folder: Path, body: str, doctype: str = "", tag: str = "annotation") -> str:
    close = tag.split()[0]
    (folder / "a.xml").write_text(f'<?xml version="1.0"?>{doctype}<{tag}>{HEAD}{body}</{close}>')
    return str(folder)


def test_an_entity_reads_no_file_and_grows_no_memory(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    outside = OUTSIDE.format((tmp_path / "secret").as_uri())
    with pytest.raises(DataError, match="not XML: undefined entity") as error:
        load_gold(voc(tmp_path, CAT.format("&x;"), outside), "voc")
    assert "the secret" not in str(error.value)
    with pytest.raises(DataError, match="not XML: limit on input amplification"):
        load_gold(voc(tmp_path, CAT.format("&l9;"), LAUGHS), "voc")
    (tmp_path / "c.xml").write_text(f"{LAUGHS}<annotations>&l9;</annotations>")
    with pytest.raises(DataError, match="not XML: limit on input amplification"):
        load_gold(str(tmp_path / "c.xml"), "cvat")


@pytest.mark.parametrize(
    "tag", ['annotation xmlns="http://x/y"', 'annotation xmlns:v="http://x/y"']
)
def test_names_of_xml_may_have_a_namespace(tmp_path: Path, tag: str) -> None:
    assert boxes_of(load_gold(voc(tmp_path, CAT.format("cat"), tag=tag), "voc")) == [
        ((10, 20, 40, 60), "cat")
    ]


@pytest.mark.parametrize(
    "body, tag, message",
    [
        ("", "html", r"a.xml' must hold <annotation>, got <html>"),
        ("<object><name>cat</name></object>", "annotation", r"object 1 has no bndbox; it has name"),
        (CAT, "annotation", r"a.xml' is not XML: mismatched tag"),
    ],
)
def test_other_xml_is_explained(tmp_path: Path, body: str, tag: str, message: str) -> None:
    path = voc(tmp_path, body.replace("</object>", "") if body == CAT else body, tag=tag)
    with pytest.raises(DataError, match=message):
        load_gold(path, "voc")


def test_cvats_shapes_become_the_boxes_around_them(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    shapes = (
        '<box label="turned" xtl="40" ytl="30" xbr="60" ybr="40" rotation="90"/>'
        '<ellipse label="round" cx="50" cy="40" rx="10" ry="5"/>'
        '<ellipse label="turned" cx="50" cy="40" rx="10" ry="5" rotation="90"/>'
        '<mask label="mask" rle="1,2" left="5" top="6" width="7" height="8"/>'
        '<cuboid label="x"/><skeleton label="x"/>'
    )
    text = '<annotations><image name="a.jpg" width="100" height="80">{}</image></annotations>'
    path.write_text(text.format(shapes))
    gold = load_gold(str(path))
    assert boxes_of(gold) == [
        ((45, 25, 55, 45), "turned"),
        ((40, 35, 60, 45), "round"),
        ((45, 30, 55, 50), "turned"),
        ((5, 6, 12, 14), "mask"),
    ]
    assert gold.counts["dropped: shape without an area (points, polyline)"] == 2
    path.write_text(text.format(shapes.replace('"90"', '"inf"')))
    with pytest.raises(DataError, match=r"shape 1: rotation must be a number, got 'inf'"):
        load_gold(str(path))


def test_label_studio_shapes_that_say_little(tmp_path: Path) -> None:
    """A shape that nobody named is counted, and a task without shapes is an empty image."""
    picture(tmp_path / "c.jpg")
    sides = {"original_width": 100, "original_height": 80}
    place = {"x": 10, "y": 10, "width": 20, "height": 20}
    results = [
        sides | {"id": "a", "type": "rectangle", "value": place},
        sides | {"id": "b", "type": "rectanglelabels", "value": place | {"rectanglelabels": []}},
        {"id": "a", "type": "textarea", "value": {"text": ["a cat"]}},
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        sides | {"type": "keypointlabels", "value": {"x": 1, "y": 1, "width": 1}},
        sides | {"type": "brushlabels", "value": {"rle": [1], "brushlabels": ["x"]}},
    ]
    tasks = [
        {"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": results}]},
        {"id": 2, "data": {"image": "c.jpg"}, "annotations": [{"result": []}]},
        {"id": 3, "data": {"image": "gone.jpg"}, "annotations": [{"result": []}]},
    ]
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    gold = load_gold(str(tmp_path / "t.json"))
    assert [(one.sample_id, one.width, one.boxes) for one in gold.samples] == [
        ("t/1", 100, ()),
        ("t/2", 100, ()),
    ]
    dropped = {key: n for key, n in gold.counts.items() if ":" in key}
    assert dropped.pop("dropped: shape without a label") == 2
    assert dropped.pop("dropped: result that is not a rectangle, a polygon or an ellipse") == 4
    assert list(dropped.values()) == [1]  # of the image that is gone


def test_yolo_configurations_as_ultralytics_reads_them(tmp_path: Path) -> None:
    """A number of classes without names, Roboflow's paths, `validation`, and poses."""
    pose = "1 .5 .5 .2 .5 " + ".1 .2 1 " * 2 + "\n1 .5 .5 .2 .5 .1 .2\n"
    folder = yolo(tmp_path, pose, names=None, nc=2, val=None, kpt_shape=[2, 3], path=None)
    config = json.loads((folder / "data.yaml").read_text())
    del config["val"]
    (folder / "data.yaml").write_text(json.dumps(config | {"validation": "../images/val"}))
    gold = load_gold(str(folder))
    assert gold.categories == ("class_0", "class_1")
    assert boxes_of(gold) == [((40, 20, 60, 60), "class_1")] * 2


def test_yolo_lines_in_pixels_are_counted(tmp_path: Path) -> None:
    gold = load_gold(str(yolo(tmp_path, "0 50 40 10 10\n0 .9 .9 .4 .4\n0 nan .5 .1 .1\n")))
    assert boxes_of(gold) == [((70, 56, 100, 80), "cat")]
    reason = "line whose numbers are not shares of the image, 0 to 1 (are they pixels?)"
    assert gold.counts[f"dropped: {reason}"] == 1
    assert gold.counts["dropped: box is not four finite numbers"] == 1


# --- COCO and what has its form -------------------------------------------------------------------


def instances(*names: str, **change: Any) -> dict[str, Any]:
    size = {"width": 100, "height": 80}
    found: dict[str, Any] = {
        "images": [{"id": n, "file_name": name} | size for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [10, 20, 30, 40], "iscrowd": n % 2}
            | {"isfake": 0, "isreflected": 0, "area": 1200.0}
            for n in range(len(names))
        ],
        "categories": [{"id": 1, "name": "Person"}, {"id": 2, "name": "Cabinet/shelf"}],
        "licenses": [],
    }
    for place, value in change.items():
        kind, field = place.split("__")
        found[kind][0][field] = value
    return found


def test_objects365_as_published_and_as_its_archives_unpack(tmp_path: Path) -> None:
    names = [f"images/v{v}/patch{p}/objects365_v{v}_{p}.jpg" for v, p in ((1, 0), (1, 1), (2, 16))]
    path = tmp_path / "zhiyuan_objv2_train.json"
    path.write_text(json.dumps(instances(*names)))
    unpacked = [name.partition("/")[2].partition("/")[2] for name in names]
    for name in unpacked[1:]:  # the first archive was not fetched
        picture(tmp_path / "train" / name)
    gold = load_gold(str(path), "objects365", image_root=str(tmp_path / "train"))
    assert [s.image_uri for s in gold.samples[1:]] == [
        f"{tmp_path}/train/{name}" for name in unpacked[1:]
    ]
    assert (gold.categories, len(gold.ignored)) == (("Person", "Cabinet/shelf"), 1)
    picture(tmp_path / names[1])
    gold = load_gold(str(path))
    assert [s.image_uri for s in gold.samples] == [f"{tmp_path}/{name}" for name in names]
    assert validate(str(path), "objects365", images=False).problems == []


@pytest.mark.parametrize("odd", [None, 1.5])
@pytest.mark.parametrize("kind", ["image", "category", "annotation"])
def test_ids_that_pycocotools_takes(
    tmp_path: Path, kind: str, odd: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    change: dict[str, Any] = {"annotations__id": odd}
    if kind != "annotation":
        change = {f"{kind.replace('y', 'ie')}s__id": odd, f"annotations__{kind}_id": odd}
    path = tmp_path / "v.json"
    path.write_text(json.dumps(instances("a.jpg", "b.jpg", "c.jpg", **change)))
    assert len(COCO(str(path)).anns) == 3
    counts = load_gold(str(path), "coco").counts
    no_id = counts.get("dropped: image or category whose id is null or a fraction", 0)
    lost = sum(number for key, number in counts.items() if "that is not listed" in key)
    assert no_id == (kind != "annotation")
    assert counts["boxes"] + counts.get("dropped: crowd region", 0) + lost == 3
    assert validate(str(path), "coco", images=False).problems
