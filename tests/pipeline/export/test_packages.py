"""Every export is loaded by the package that it is for."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.records import CuratedRecord
from tests.pipeline.export.counts import NUM_IMAGES, box_count, link_count
from tests.pipeline.imported.corpora import exported

FIFTYONE_READS = """
import json, sys
from fiftyone.utils.coco import load_coco_detection_annotations
_, classes, _, images, annotations = load_coco_detection_annotations(sys.argv[1])
names = sorted({image["file_name"] for image in images.values()})
print(json.dumps([list(classes), names, sum(map(len, annotations.values()))]))
"""


@pytest.mark.parametrize("name", ["coco", "goldg"])
def test_pycocotools(root: Path, records: list[CuratedRecord], name: str) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    path = exported(records, name, root, str(root / "images"))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
        assert len(coco.anns) == box_count(records)
        assert len(coco.imgs) == (NUM_IMAGES if name == "coco" else len(records))
        found = [
            {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
            for entry in coco.anns.values()
        ]
        judged = COCOeval(coco, coco.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    assert judged.stats[0] == pytest.approx(1.0)
    for entry in coco.imgs.values():
        assert Image.open(root / "images" / entry["file_name"]).size == (
            entry["width"],
            entry["height"],
        )


def test_lvis(root: Path, records: list[CuratedRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    from lvis import LVIS, LVISEval, LVISResults

    monkeypatch.setattr(np, "float", float, raising=False)  # lvis 0.5.3 is older than numpy 1.24
    path = exported(records, "lvis", root, str(root / "images"))
    gold = LVIS(path)
    assert (len(gold.imgs), len(gold.anns)) == (NUM_IMAGES, box_count(records))
    found = [
        {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
        for entry in gold.anns.values()
    ]
    judged = LVISEval(gold, LVISResults(gold, found), "bbox")
    judged.run()
    assert judged.results["AP"] == pytest.approx(1.0)


def test_supervision(root: Path, records: list[CuratedRecord]) -> None:
    import supervision

    path = exported(records, "coco", root, str(root / "images"))
    found = supervision.DetectionDataset.from_coco(str(root / "images"), path)
    assert len(found) == NUM_IMAGES
    assert sum(len(labels) for labels in found.annotations.values()) == box_count(records)


def test_supervision_reads_yolo(root: Path, records: list[CuratedRecord]) -> None:
    import supervision

    folder = Path(exported(records, "yolo", root))
    found = supervision.DetectionDataset.from_yolo(
        str(folder / "images/train"), str(folder / "labels/train"), str(folder / "data.yaml")
    )
    assert len(found) == NUM_IMAGES
    assert sum(len(labels) for labels in found.annotations.values()) == box_count(records)


def test_datasets(
    root: Path, records: list[CuratedRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(root / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    folder = exported(records, "hf", root, categories="dog, kids, hat, kite, café, 猫, apple, fuß")
    found = datasets.load_dataset(folder, split="train", cache_dir=str(root / "cache"))
    assert len(found) == len(records)
    assert sum(len(row["objects"]["bbox"]) for row in found) == box_count(records)
    assert found[0]["image"].size == (records[0].width, records[0].height)
    assert found.features["objects"]["category"].feature.names[:2] == ["dog", "kids"]
    own = exported(records, "hf-imagefolder", root)
    rows = datasets.load_dataset(
        "imagefolder", data_dir=own, split="train", cache_dir=str(root / "cache")
    )
    assert len(rows) == NUM_IMAGES
    assert sum(len(row["objects"]["bbox"]) for row in rows) == box_count(records)
    grit = exported(records, "grit", root)
    table = datasets.load_dataset(
        "parquet", data_files=grit, split="train", cache_dir=str(root / "cache")
    )
    assert sum(len(row["noun_chunks"]) for row in table) == link_count(records)


def test_polars_and_duckdb(root: Path, records: list[CuratedRecord]) -> None:
    import duckdb
    import polars

    boxes = exported(records, "boxes", root)
    odvg = exported(records, "odvg", root)
    assert len(polars.read_parquet(boxes)) == link_count(records)
    lines = polars.read_ndjson(odvg)
    assert sum(len(row["regions"]) for row in lines["grounding"]) == link_count(records)
    inside = f"select count(*) from '{boxes}' where x1 > x0 and x1 <= width"
    assert duckdb.sql(inside).fetchall() == [(link_count(records),)]
    assert duckdb.sql(f"select count(*) from read_json('{odvg}')").fetchall() == [(len(lines),)]


@pytest.mark.slow
@pytest.mark.fiftyone
def test_fiftyone_reads_one_sample_per_image(root: Path, records: list[CuratedRecord]) -> None:
    """In a process of its own: here FiftyOne keeps the database that it is imported with."""
    path = exported(records, "coco", root, str(root / "images"))
    found = subprocess.run(
        [sys.executable, "-c", FIFTYONE_READS, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    classes, images, boxes = json.loads(found.stdout.splitlines()[-1])
    assert classes
    assert len(images) == NUM_IMAGES
    assert boxes == box_count(records)
