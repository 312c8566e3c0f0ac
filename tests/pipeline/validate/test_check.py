"""Planted errors are all found, each at its place; what we export has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.export import FORMATS
from pipeline.validate.check import Findings, validate
from schemas.errors import ConfigError
from tests.pipeline.imported.corpora import GOLD_FORMAT, exported, random_records

KITE = "two kids fly a red kite"


def size(**changes: Any) -> dict[str, Any]:
    return {"width": 64, "height": 48} | changes


def coco() -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": f"{n}.png"} | size() for n in (1, 2)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": 0}
            for n in (1, 2)
        ],
        "categories": [{"id": 5, "name": "kite"}],
    }


def mdetr() -> dict[str, Any]:
    raw = coco()
    for image in raw["images"]:
        image |= {"caption": KITE, "tokens_negative": []}
    for entry in raw["annotations"]:
        entry["tokens_positive"] = [[13, 23]]
    return raw


def lvis() -> dict[str, Any]:
    raw = coco()
    for image in raw["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": [5]}
    return raw


def check(folder: Path, raw: Any, name: str = "auto") -> Findings:
    for number in (1, 2):
        Image.new("RGB", (64, 48)).save(folder / f"{number}.png")
    path = folder / "a.json"
    path.write_text(json.dumps(raw))
    return validate(str(path), name)


@pytest.mark.parametrize("make, name", [(coco, "coco"), (mdetr, "mdetr"), (lvis, "lvis")])
def test_a_good_file_has_no_problem(
    tmp_path: Path, make: Callable[[], dict[str, Any]], name: str
) -> None:
    found = check(tmp_path, make())
    assert (found.format, found.samples, found.boxes, found.images) == (name, 2, 2, 2)
    assert found.problems == []


def put(raw: dict[str, Any], key: str, number: int, **changes: Any) -> None:
    raw[key][number] = {k: v for k, v in (raw[key][number] | changes).items() if v is not DELETED}


DELETED = object()
A1, I1 = "annotations[1]", "images[1]"
PLANTED: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("coco", "annotations", {"bbox": [1, 2, 3]}, A1, "box is not four finite numbers"),
    ("coco", "annotations", {"bbox": [1, 2, "3", 4]}, A1, "box is not four finite numbers"),
    ("coco", "annotations", {"bbox": [1, 2, float("nan"), 4]}, A1, "box is not four finite"),
    ("coco", "annotations", {"bbox": [1, 2, -3, 4]}, A1, "box has no area inside"),
    ("coco", "annotations", {"bbox": [62, 2, 30, 4]}, A1, "box leaves its image"),
    ("coco", "annotations", {"bbox": DELETED}, A1, "box is not four finite numbers"),
    ("coco", "annotations", {"id": 1}, A1, "annotation whose id occurred before"),
    ("coco", "annotations", {"id": DELETED}, A1, "id must be int or str, got None"),
    ("coco", "annotations", {"image_id": 77}, A1, "annotation of an image that is not listed"),
    ("coco", "annotations", {"category_id": 77}, A1, "annotation of a category that is not"),
    ("coco", "annotations", {"category_id": None}, A1, "annotation of a category that is not"),
    ("coco", "annotations", {"category_id": [5]}, A1, "category_id must be int or str"),
    ("coco", "images", {"id": 1.5}, I1, "image or category whose id is null or a fraction"),
    ("coco", "annotations", {"iscrowd": "perhaps"}, A1, "iscrowd must be 0 or 1"),
    ("coco", "images", {"id": 1}, I1, "image whose id occurred before"),
    ("coco", "images", {"file_name": 3}, I1, "file_name must be str, got 3"),
    ("coco", "images", {"width": 0}, I1, "width and height must be at least 1"),
    ("coco", "images", {"height": "48"}, I1, "height must be int, got '48'"),
    ("coco", "images", {"width": 65}, "sample a/2", "image of another size than its labels say"),
    ("coco", "images", {"file_name": "none.png"}, "sample a/2", "image that is not there"),
    ("mdetr", "annotations", {"tokens_positive": [[13, 99]]}, A1, "span is not inside"),
    ("mdetr", "annotations", {"tokens_positive": [13, 23]}, A1, "span is given without its list"),
    ("mdetr", "annotations", {"tokens_positive": []}, A1, "box without a usable span"),
    ("mdetr", "images", {"caption": None}, I1, "caption must be str, got None"),
    ("mdetr", "images", {"tokens_negative": [[5, 2]]}, I1, "span is not inside the caption"),
    ("lvis", "images", {"neg_category_ids": [9]}, I1, "which is not in categories"),
    ("lvis", "images", {"not_exhaustive_category_ids": None}, I1, "must be list, got None"),
]


@pytest.mark.parametrize("name, key, changes, where, what", PLANTED)
def test_a_planted_error_is_found_at_its_place(
    tmp_path: Path, name: str, key: str, changes: dict[str, Any], where: str, what: str
) -> None:
    raw = {"coco": coco, "mdetr": mdetr, "lvis": lvis}[name]()
    put(raw, key, 1, **changes)
    found = check(tmp_path, raw, name)
    assert any(what in one.what and one.where.endswith(where) for one in found.problems), found


def test_all_planted_errors_of_one_file_are_found(tmp_path: Path) -> None:
    raw = coco()
    planted = [entry for entry in PLANTED if entry[0] == "coco" and entry[1] == "annotations"]
    good = raw["annotations"][1]
    for number, (_, _, changes, _, _) in enumerate(planted):
        entry = good | {"id": 10 + number} | changes
        raw["annotations"].append({k: v for k, v in entry.items() if v is not DELETED})
    found = check(tmp_path, raw)
    for number, (_, _, _, _, what) in enumerate(planted):
        where = f"annotations[{number + 2}]"
        hits = [one.what for one in found.problems if one.where.endswith(where)]
        assert any(what in hit for hit in hits), (where, what, hits)
    assert found.counts.total() >= len(planted)


@pytest.mark.parametrize(
    "text, what",
    [
        ("{", "is not JSON"),
        (json.dumps(coco() | {"annotations": {}}), "annotations must be list, got {}"),
        (json.dumps({k: v for k, v in coco().items() if k != "images"}), "images must be list"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    (problem,) = validate(str(path), "coco").problems
    assert what in problem.what


def test_lines_of_odvg_have_their_number(tmp_path: Path) -> None:
    region = {"phrase": "a red kite", "bbox": [1, 2, 3, 4], "tokens_positive": [[13, 23]]}
    row = {"filename": "1.png", "grounding": {"caption": KITE, "regions": [region]}} | size()
    rows = [
        row,
        row | {"grounding": {"caption": KITE, "regions": [region | {"phrase": "a kite"}]}},
        row | {"grounding": {"caption": KITE, "regions": [region | {"bbox": None}]}},
        {"filename": "1.png"} | size(),
        row | {"filename": 7},
    ]
    Image.new("RGB", (64, 48)).save(tmp_path / "1.png")
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    found = {problem.where: problem.what for problem in validate(str(path)).problems}
    assert found == {
        f"{path} line 2: regions[0]": "phrase that is not the text of its tokens_positive (the "
        "span counts)",
        f"{path} line 3: regions[0]": "bbox must be list, got None",
        f"{path} line 4": f"a row must have grounding or detection, got {rows[3]!r}",
        f"{path} line 5": "filename must be str, got 7",
    }


def test_the_line_index_of_a_tsv_is_checked(tmp_path: Path) -> None:
    records = random_records(tmp_path / "images", 1)
    path = Path(exported(records, "glip-tsv", tmp_path))
    assert validate(str(path)).problems == []
    index = path.with_suffix(".lineidx")
    index.write_text(index.read_text().replace("0\n", "1\n", 1))
    (problem,) = validate(str(path)).problems
    assert problem.what == "line index that is not the offset of its row"
    index.unlink()
    (problem,) = validate(str(path)).problems
    assert "is missing: the loader finds rows by it" in problem.what


@pytest.mark.parametrize("name", FORMATS)
def test_what_we_export_passes(tmp_path: Path, name: str) -> None:
    records = random_records(tmp_path / "images", 2)
    path = exported(records, name, tmp_path, str(tmp_path / "images"))
    known = GOLD_FORMAT.get(name, name)
    label_map = path.replace(".jsonl", ".label_map.json") if name == "odvg-detection" else ""
    root = str(tmp_path / "images") if FORMATS[name].images == "reference" else ""
    found = validate(path, known, image_root=root, label_map=label_map)
    assert found.problems == []
    assert found.boxes >= sum(len(record.boxes) for record in records) > 0


def test_more_problems_than_are_kept_are_counted(tmp_path: Path) -> None:
    raw = coco()
    raw["annotations"] = [{"id": n, "image_id": 9, "category_id": 5} for n in range(30)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(raw))
    found = validate(str(path), images=False, limit=7)
    assert len(found.problems) == 7
    assert found.counts == {"annotation of an image that is not listed": 30}


def test_what_is_not_there_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"'nowhere.json' does not exist"):
        validate("nowhere.json", "coco")


def test_an_image_that_was_cut_off_is_found(tmp_path: Path) -> None:
    raw = coco()
    raw["images"][1]["file_name"] = "2.jpg"
    Image.new("RGB", (64, 48)).save(tmp_path / "2.jpg")
    whole = (tmp_path / "2.jpg").read_bytes()
    assert check(tmp_path, raw).problems == []
    (tmp_path / "2.jpg").write_bytes(whole[:-20])
    (problem,) = check(tmp_path, raw).problems
    assert problem.where.endswith("a/2")
    assert "cannot be read, or not to its end: cannot be decoded: " in problem.what


def test_damage_inside_of_an_image(tmp_path: Path) -> None:
    """Both begin and end well; a decoder takes the first, grey where its pixels are lost."""
    Image.effect_noise((64, 48), 90).convert("RGB").save(tmp_path / "1.jpg", quality=95)
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(data[:900] + b"\xff\x7b" + data[902:])
    Image.effect_noise((64, 48), 90).save(tmp_path / "2.png")
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[:500] + bytes([data[500] ^ 4]) + data[501:])
    raw = coco()
    raw["images"][0]["file_name"] = "1.jpg"
    path = tmp_path / "a.json"
    path.write_text(json.dumps(raw))
    for decode in (False, True):
        found = validate(str(path), decode_images=decode)
        whats = [problem.what for problem in found.problems]
        assert len(whats) == 2
        assert "1.jpg" in whats[0]
        assert "2.png" in whats[1]
    assert "the JPEG's pixels hold the marker 0x7b at byte 900" in str(
        validate(str(path)).problems[0].what
    )


def test_missing_images_are_counted_as_one_kind(tmp_path: Path) -> None:
    raw = coco()
    for number in range(2):
        put(raw, "images", number, file_name=f"none-{number}.png")
    found = check(tmp_path, raw)
    assert [one.where for one in found.problems] == ["sample a/1", "sample a/2"]
    assert found.counts == {"image that is not there (is --image-root right?)": 2}
