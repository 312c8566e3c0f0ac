"""What a gold file says beside its boxes survives: crowds, groups, difficult objects, licences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO

from jobs.cli import main
from pipeline.gold import load_gold
from pipeline.layers.store import LayerStore
from pipeline.run.open import open_run
from tests.pipeline.gold.files import write_json

WIDE, HIGH = 40, 30
LICENSES = [{"id": 8, "name": "BY", "url": "http://cc/by"}, {"id": 1, "name": "PD", "url": ""}]


@pytest.fixture
def gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images: boxes and crowds (packed and not, and one without pixels), a crowd alone, and
    nothing."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (HIGH, WIDE, 3)).astype(np.uint8)).save(f"{name}.png")
    drawn = np.zeros((HIGH, WIDE), np.uint8, order="F")
    drawn[4:20, 5:30:3] = 1
    packed = run_lengths.encode(drawn)["counts"].decode()
    flat = np.concatenate([[0], drawn.flatten(order="F"), [1]])
    lengths = np.diff(np.flatnonzero(np.diff(flat)), prepend=0).tolist()
    lengths[-1] += WIDE * HIGH - sum(lengths)
    shapes: list[dict[str, Any]] = [
        {"segmentation": {"size": [HIGH, WIDE], "counts": packed}},
        {"segmentation": {"size": [HIGH, WIDE], "counts": lengths}},
        {},
    ]
    crowd = {"category_id": 7, "iscrowd": 1, "bbox": [5, 4, 25, 16], "area": 1}
    box = {"category_id": 3, "iscrowd": 0, "bbox": [1, 2, 10.5, 8], "area": 84}
    entries = [box | {"image_id": 1}, *(crowd | {"image_id": 1} | shape for shape in shapes)]
    entries.append(crowd | {"image_id": 2, "category_id": 3})
    images = [
        {"id": n, "file_name": f"{name}.png", "width": WIDE, "height": HIGH}
        for n, name in enumerate("abc", start=1)
    ]
    images[0] |= {"license": 8, "coco_url": "http://x/a.png", "flickr_url": "http://f/a"}
    images[1] |= {"license": 1, "coco_url": "../no/address"}
    raw = {
        "licenses": LICENSES,
        "images": images,
        "annotations": [entry | {"id": n} for n, entry in enumerate(entries, start=1)],
        "categories": [{"id": 7, "name": "dining table"}, {"id": 3, "name": "cat"}],
    }
    write_json(tmp_path / "gold.json", raw)
    return tmp_path / "gold.json"


def crowds_of(path: str) -> list[tuple[Any, ...]]:
    coco = COCO(path)
    return sorted(
        (
            coco.imgs[one["image_id"]]["file_name"],
            coco.cats[one["category_id"]]["name"],
            tuple(one["bbox"]),
            coco.annToMask(one).tobytes() if "segmentation" in one else b"",
        )
        for one in coco.dataset["annotations"]
        if one["iscrowd"]
    )


def licenses_of(path: str) -> dict[str, tuple[Any, ...]]:
    raw = json.loads(Path(path).read_text())
    known = {one["id"]: (one["name"], one["url"]) for one in raw["licenses"]}
    return {
        one["file_name"]: (
            known.get(one.get("license")),
            one.get("coco_url"),
            one.get("flickr_url"),
        )
        for one in raw["images"]
    }


@pytest.mark.parametrize("second", ["auto", "coco"])
def test_crowds_and_licences_come_out_again(
    gold: Path, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # again: nothing changes
        assert main(["import", str(gold), "--out", "run"]) == 0
        assert "kept as regions to ignore: crowd region: 4" in capsys.readouterr().out
    root = ["--image-root", ".", "--format", "coco"]
    assert main(["export", "run", *root, "--out", "one.json"]) == 0
    assert "4 regions to ignore are annotations with iscrowd 1" in capsys.readouterr().out
    # Our own file holds captions too: `auto` reads those, and the crowds all the same.
    assert main(["import", "one.json", "--format", second, "--out", "again"]) == 0
    assert "kept as regions to ignore: crowd region: 4" in capsys.readouterr().out
    assert main(["export", "again", *root, "--out", "two.json"]) == 0
    for path in ("one.json", "two.json"):
        assert crowds_of(path) == crowds_of(str(gold))
        assert licenses_of(path) == {
            "a.png": (("BY", "http://cc/by"), "http://x/a.png", "http://f/a"),
            "b.png": (("PD", ""), None, None),
            "c.png": (None, None, None),
        }
        card = Path(path.replace(".json", ".README.md")).read_text()
        for line in ("| BY (http://cc/by) | 1 |", "| PD | 1 |", "| not stated | 1 |"):
            assert line in card
    # Evaluation ignores there what it ignored before.
    before, after = (load_gold(path, "coco") for path in (str(gold), "two.json"))
    assert [
        [(box.xyxy, before.categories[box.category]) for box in before.ignored[f"gold/{n}"]]
        for n in (1, 2)
    ] == [
        [(box.xyxy, after.categories[box.category]) for box in boxes]
        for boxes in after.ignored.values()
    ]


def test_other_formats_count_what_they_cannot_say(
    gold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(gold), "--out", "run"]) == 0
    for name, out in (("goldg", "g.json"), ("lvis", "l.json"), ("yolo", "y")):
        root = [] if name == "yolo" else ["--image-root", "."]
        assert main(["export", "run", "--format", name, "--out", out, *root]) == 0
        assert "left out: 4 x region to ignore (crowd, group" in capsys.readouterr().out
    assert licenses_of("g.json")["a.png"] == (
        ("BY", "http://cc/by"),
        "http://x/a.png",
        "http://f/a",
    )
    assert licenses_of("l.json")["a.png"] == (("BY", "http://cc/by"), "./a.png", "http://f/a")
    # A closed list that does not name a crowd's category.
    options = ["--format", "coco", "--categories", "cat, dog", "--out", "c.json"]
    assert main(["export", "run", *options]) == 0
    assert "left out: 3 x region to ignore whose category is none" in capsys.readouterr().out
    assert [category for _, category, _, _ in crowds_of("c.json")] == ["cat"]


def test_captions_of_one_image_have_its_crowds_once(gold: Path) -> None:
    raw = json.loads(gold.read_text())
    entry = raw["images"][0]
    texts = ["a cat", "cat here"]
    entry |= {"caption": texts[0], "captions": texts, "record_ids": ["r/0", "r/1"]}
    raw["images"] = [entry]
    raw["annotations"] = [one for one in raw["annotations"] if one["image_id"] == 1]
    raw["annotations"][0] |= {"tokens_positive": [[2, 5]], "phrase": "cat"}
    write_json(gold, raw)
    for name in ("one", "two"):
        assert main(["import", str(gold), "--out", name]) == 0
        out = ["--format", "coco", "--image-root", ".", "--out", f"{name}.json"]
        assert main(["export", name, *out]) == 0
        assert len(crowds_of(f"{name}.json")) == 3
        gold = Path(f"{name}.json")
    # Joined with a run that says the same, they are there once, under either rule.
    for rule in ("first", "union"):
        out = ["--merge", "two", "--merge-rule", rule, "--format", "coco", "--out", f"{rule}.json"]
        assert main(["export", "one", *out]) == 0
        assert len(crowds_of(f"{rule}.json")) == 3


def test_captions_from_several_runs_bring_what_each_says_of_the_image(
    gold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two pairs of one image: nothing is joined, and the image has the regions of both."""
    raw = json.loads(gold.read_text())
    raw["images"] = [raw["images"][0]]
    crowd = raw["annotations"][1] | {"segmentation": None}
    box = raw["annotations"][0]
    raw["images"][0] |= {"license": None, "coco_url": None}
    raw["annotations"] = [box, crowd]
    write_json(gold, raw)
    assert main(["import", str(gold), "--out", "one"]) == 0
    raw["images"][0] |= {"license": 8}
    raw["annotations"] = [
        box | {"category_id": 7},  # another caption: "dining table"
        crowd,
        crowd | {"bbox": [1, 1, 4, 4], "id": 9},
    ]
    write_json(gold, raw)
    assert main(["import", str(gold), "--out", "two"]) == 0
    out = ["--merge", "two", "--format", "coco", "--out", "o.json"]
    assert main(["export", "one", *out]) == 0
    assert len(crowds_of("o.json")) == 2
    (image,) = json.loads(Path("o.json").read_text())["images"]
    assert (image["license"], image["captions"]) == (1, ["cat", "dining table"])
    names = ["--categories", "cat, dog"]
    out = ["--merge", "two", "--format", "coco", *names, "--out", "c.json"]
    assert main(["export", "one", *out]) == 0
    assert "2 x region to ignore whose image is left out" in capsys.readouterr().out


def test_difficult_objects_are_kept_without_pixels(tmp_path: Path) -> None:
    Image.new("RGB", (WIDE, HIGH), "red").save(tmp_path / "a.jpg")
    objects = "".join(
        f"<object><name>cat</name><difficult>{n}</difficult><bndbox><xmin>{n + 1}</xmin><ymin>2"
        "</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
        for n in (0, 1)
    )
    size = f"<size><width>{WIDE}</width><height>{HIGH}</height></size>"
    text = f"<annotation><filename>a.jpg</filename>{size}{objects}</annotation>"
    (tmp_path / "a.xml").write_text(text)
    run, out = str(tmp_path / "run"), str(tmp_path / "o.json")
    assert main(["import", str(tmp_path), "--format", "voc", "--out", run]) == 0
    assert main(["export", run, "--format", "coco", "--out", out]) == 0
    assert [crowd[1:] for crowd in crowds_of(out)] == [("cat", (1, 1, 8, 8), b"")]


def test_an_import_that_was_cut_off_goes_on(gold: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(gold), "--out", "run"]) == 0
    store = LayerStore(open_run("run"), "gold_facts")
    (commit,) = store.commits()
    Path("run/layers/gold_facts/_commits", f"{commit}.json").unlink()
    out = ["--format", "coco", "--out", "o.json"]
    assert main(["export", "run", *out]) == 2
    assert "lacks 1 of 1 units, the first " in (said := capsys.readouterr().err)
    assert "the `glipforge import` command that made it goes on" in said
    assert main(["import", str(gold), "--out", "run"]) == 0
    assert main(["export", "run", *out]) == 0
    assert len(crowds_of("o.json")) == 4


def test_another_file_is_not_the_same_import(
    gold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where boxes are the same and licences are not, nothing is mixed."""
    assert main(["import", str(gold), "--out", "run"]) == 0
    raw = json.loads(gold.read_text())
    raw["licenses"][0]["name"] = "other"
    write_json(gold, raw)
    assert main(["import", str(gold), "--out", "run"]) == 2
    assert "gold_facts" in capsys.readouterr().err
