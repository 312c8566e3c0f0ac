from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jobs.cli import main
from jobs.commands.train import evaluate
from pipeline.evaluation.results_file import load_results
from pipeline.gold import load_gold
from pipeline.gold.gold_set import GoldSet
from schemas.errors import ConfigError, DataError
from tests.jobs.toy_run import write_gold


def coco(folder: Path, ids: tuple[Any, Any] = (7, 5)) -> str:
    images = [{"id": one, "file_name": f"{one}.jpg", "width": 64, "height": 48} for one in ids]
    box = {"image_id": ids[0], "category_id": 3, "bbox": [1, 2, 20, 20], "id": 1, "area": 400}
    content = {"images": images, "annotations": [box], "categories": [{"id": 3, "name": "cat"}]}
    path = folder / "gold.json"
    path.write_text(json.dumps(content))
    return str(path)


def write(folder: Path, content: Any) -> str:
    path = folder / "results.json"
    path.write_text(json.dumps(content))
    return str(path)


def row(**changes: Any) -> dict[str, Any]:
    return {"image_id": 7, "category_id": 3, "bbox": [1, 2, 20, 20], "score": 0.5} | changes


def gold_of(folder: Path, **fields: Any) -> GoldSet:
    return load_gold(coco(folder, **fields))


def test_gold_needs_neither_images_nor_their_sizes_nor_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """COCOeval looks at none of them."""
    content = json.loads(Path(coco(tmp_path)).read_text())
    content["images"] = [{"id": one["id"]} for one in content["images"]]
    content["categories"] = [{"id": 3, "name": None}]
    box = content["annotations"][0] | {"iscrowd": 0}
    content["annotations"] = [box, box | {"id": 2, "bbox": [-9, 900, 30, 30]}]
    (tmp_path / "gold.json").write_text(json.dumps(content))
    results = write(tmp_path, [row(), row(bbox=[-9, 890, 30, 30], score=0.4)])
    words = ["--gold", str(tmp_path / "gold.json"), "--detections", results, "--json"]
    assert main(["evaluate", *words]) == 0
    ours = json.loads(capsys.readouterr().out)["detection"]["numbers"]
    gold = COCO(str(tmp_path / "gold.json"))
    theirs = COCOeval(gold, gold.loadRes(results), "bbox")
    theirs.evaluate()
    theirs.accumulate()
    theirs.summarize()
    sizes = (" small", " medium", " large")
    names = ["AP", "AP50", "AP75", *(f"AP{size}" for size in sizes)]
    names += ["AR@1", "AR@10", "AR@100", *(f"AR@100{size}" for size in sizes)]
    assert [-1 if ours[name] is None else ours[name] for name in names] == pytest.approx(
        theirs.stats.tolist(), abs=1e-9
    )


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    rows = [
        row(),
        row(category_id=9),
        row(category_id=9),
        row(category_id="dog"),
        row(image_id=1),
        row(bbox=[1, 2, float("nan"), 4]),
        row(bbox=[1, 2, 3]),
        row(bbox=[1, 2, 1e300, 4]),
        row(score=10**400),
        row(score=None),
        row(image_id=True),
        "no row",
    ]
    found, counts = load_results(write(tmp_path, rows), gold_of(tmp_path))
    assert {key: len(one.scores) for key, one in found.items()} == {"gold/7": 1, "gold/5": 0}
    assert counts.notes(2) == [
        "1 results are of 1 images that gold does not list, and are not judged: 1 (1)",
        "3 results are of 2 categories that gold does not list, and are not judged: 9 (2), dog (1)",
        "2 results left out: bbox is not four finite numbers",
        "1 results left out: bbox is beyond 1e+12 pixels",
        "2 results left out: score is not a finite number",
        "1 results left out: image_id is not a whole number or text",
        "1 results left out: it is not an object",
        "1 of 2 gold images have no result: their boxes count as not found",
    ]


@pytest.mark.parametrize(
    "ids, asked, expected",
    [
        ((7, 5), "7", 1),
        ((7, 5), 7.0, 1),
        (("7", "5"), 7, 1),
        (("a", "b"), "a", 1),
        (("07", "5"), 7, 0),
    ],
)
def test_ids_match_as_they_are_or_as_text(
    tmp_path: Path, ids: tuple[Any, Any], asked: Any, expected: int
) -> None:
    gold = gold_of(tmp_path, ids=ids)
    rows = [row(image_id=asked), row(image_id=ids[1])]
    found, counts = load_results(write(tmp_path, rows), gold)
    assert counts.taken == 1 + expected
    assert len(found[f"gold/{ids[0]}"].scores) == expected


def test_what_cannot_be_judged_is_explained(tmp_path: Path) -> None:
    gold = gold_of(tmp_path)
    with pytest.raises(DataError, match=r"results.json must be a list of results, .*got \{'a': 1"):
        load_results(write(tmp_path, {"a": 1}), gold)
    with pytest.raises(ConfigError, match=r"no result of .* on gold 'gold': it is empty"):
        load_results(write(tmp_path, []), gold)
    with pytest.raises(ConfigError, match=r"no result of .* 1 images that gold does not list"):
        load_results(write(tmp_path, [row(image_id="x")]), gold)
    grounding = load_gold(write_gold(tmp_path))
    with pytest.raises(ConfigError, match=r"need a COCO or LVIS file as gold.*got mdetr gold"):
        load_results(write(tmp_path, [row()]), grounding)


def test_the_command_prints_the_twelve_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path, [row(), row(category_id=9)])
    out = tmp_path / "figures.json"
    config = evaluate.Config(gold=coco(tmp_path), detections=results, out=out)
    assert evaluate.run(config) == 0
    shown = capsys.readouterr().out
    for name in ("AP75", "AP small", "AP medium", "AR@1 ", "AR@100 medium", "nothing to measure"):
        assert name in shown
    assert "gold does not list, and are not judged: 9 (1)" in shown
    figures = json.loads(out.read_text())
    numbers = figures["detection"]["numbers"]
    assert numbers["AP"] == numbers["AP small"] == pytest.approx(1.0)
    assert numbers["AP large"] is None
    assert figures["results"]["unknown_categories"] == {"9": 1}
    assert figures["detection"]["curves"]["0.50"] == pytest.approx([1.0] * 101)
