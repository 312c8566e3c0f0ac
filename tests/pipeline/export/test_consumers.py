"""Every export is loaded by the program that it is for: the package itself, or a reader written
here from what the program is known to do."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.export import ExportOptions, export_records
from schemas.records import CuratedRecord
from tests.pipeline.imported.corpora import exported, random_records

NUM_IMAGES = 8
FIFTYONE_READS = """
import json, sys
from fiftyone.utils.coco import load_coco_detection_annotations
_, classes, _, images, annotations = load_coco_detection_annotations(sys.argv[1])
names = sorted({image["file_name"] for image in images.values()})
print(json.dumps([list(classes), names, sum(map(len, annotations.values()))]))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("consumers")


@pytest.fixture(scope="module")
def records(root: Path) -> list[CuratedRecord]:
    return random_records(root / "images", 11, NUM_IMAGES)


def box_count(records: list[CuratedRecord]) -> int:
    return sum(len(record.boxes) for record in records)


def link_count(records: list[CuratedRecord]) -> int:
    return sum(len(box.phrase_indices) for record in records for box in record.boxes)


# --- packages ------------------------------------------------------------------------------------


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


# --- programs that are not packages --------------------------------------------------------------


def open_grounding_dino(row: dict[str, Any]) -> tuple[list[list[float]], list[str]]:
    """Boxes and phrases, as its ODVGDataset takes them from a grounding row."""
    regions = row["grounding"]["regions"]
    boxes = [region["bbox"] for region in regions]
    phrases = [region["phrase"] for region in regions]
    together = list(zip(boxes, phrases, strict=True))
    random.Random(0).shuffle(together)
    boxes[:], phrases[:] = zip(*together, strict=True)  # fails where there is no region
    array = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    assert len(array) == len(phrases)
    return array.tolist(), phrases


def mmdetection(row: dict[str, Any]) -> int:
    """Boxes that its ODVGDataset keeps of a grounding row."""
    kept = 0
    for region in row["grounding"]["regions"]:
        boxes = region["bbox"]
        boxes = [boxes] if not isinstance(boxes[0], list) else boxes
        for x0, y0, x1, y1 in boxes:
            inter_w = max(0, min(x1, row["width"]) - max(x0, 0))
            inter_h = max(0, min(y1, row["height"]) - max(y0, 0))
            kept += inter_w * inter_h > 0 and x1 - x0 >= 1 and y1 - y0 >= 1
    return kept


def test_odvg_loaders(root: Path, records: list[CuratedRecord]) -> None:
    lines = Path(exported(records, "odvg", root)).read_bytes().split(b"\n")
    rows = [json.loads(line) for line in lines if line]
    assert len(rows) == sum(bool(record.boxes) for record in records)
    found = [open_grounding_dino(row) for row in rows]
    assert sum(len(boxes) for boxes, _ in found) == link_count(records)
    assert sum(mmdetection(row) for row in rows) == link_count(records)
    for row, (_, phrases) in zip(rows, found, strict=True):
        assert all(phrase in row["grounding"]["caption"] for phrase in phrases)


def test_odvg_detection_has_labels_of_its_map(root: Path, records: list[CuratedRecord]) -> None:
    path = Path(exported(records, "odvg-detection", root))
    names = json.loads(path.with_name("out-odvg-detection.label_map.json").read_text())
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    assert len(rows) == NUM_IMAGES
    instances = [one for row in rows for one in row["detection"]["instances"]]
    assert len(instances) == box_count(records)
    assert all(names[str(one["label"])] == one["category"] for one in instances)


def glip_caption_rows(path: Path, version: int) -> list[dict[str, Any]]:
    """Rows as GLIP's CaptionTSV reads them by the index; v2 is flattened to v1 first."""
    data, rows = path.read_bytes(), []
    for offset in path.with_suffix(".lineidx").read_text().split():
        text = data[int(offset) :].split(b"\n", 1)[0].split(b"\t")[-1]
        row = json.loads(text)
        if version == 2:
            flat: dict[str, list] = {"bboxes": [], "scores": [], "tokens_positive": []}
            for number, boxes in enumerate(row["bboxes"]):
                for place, box in enumerate(boxes):
                    flat["bboxes"].append(box)
                    flat["scores"].append(row["scores"][number][place])
                    flat["tokens_positive"].append(row["tokens_positive"][number])
            row |= flat
        rows.append(row)
    return rows


@pytest.mark.parametrize("version", [1, 2])
def test_glip_caption_tsv(root: Path, records: list[CuratedRecord], version: int) -> None:
    path = Path(exported(records, "glip-tsv", root, images="embed", tsv_version=version))
    rows = glip_caption_rows(path, version)
    images = root / "out-glip-tsv.images.tsv"
    keys = [line.split("\t")[0] for line in path.read_text().splitlines()]
    pictures = [line.split("\t") for line in images.read_text().splitlines()]
    assert [key for key, _ in pictures] == keys
    offsets = (root / "out-glip-tsv.images.lineidx").read_text().split()
    assert len(offsets) == len(rows)
    assert "out-glip-tsv.images.tsv" in (root / "out-glip-tsv.yaml").read_text()
    for row, (_, data) in zip(rows, pictures, strict=True):
        size = Image.open(io.BytesIO(base64.b64decode(data))).size
        assert size == (row["img_w"], row["img_h"])
        # The loader moves corners to the last pixel and removes what has no area then, but not its
        # spans: every box must survive.
        boxes = np.asarray(row["bboxes"], dtype=np.float32)
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, size[0] - 1)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, size[1] - 1)
        assert ((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])).all()
        assert len(row["tokens_positive"]) == len(boxes) == len(row["scores"])
    assert sum(len(row["bboxes"]) for row in rows) == box_count(records)


def test_boxes_that_glip_would_remove_are_left_out_and_counted(
    root: Path, records: list[CuratedRecord]
) -> None:
    record = next(record for record in records if len(record.boxes) > 1)
    width, height = float(record.width), float(record.height)
    gone = replace(record.boxes[0], xyxy=(width - 1, 0.0, width, height), box_id="gone")
    with_it = replace(record, boxes=(gone, *record.boxes[1:]))
    only = replace(record, record_id="only", boxes=(gone,))
    path = root / "beyond.tsv"
    summary = export_records([with_it, only], "glip-tsv", str(path))
    (row,) = glip_caption_rows(path, 1)
    assert len(row["bboxes"]) == len(row["tokens_positive"]) == len(record.boxes) - 1
    assert sum(summary.left_out.values()) == 3
    assert summary.records == 1


def mdetr_positive_maps(raw: dict[str, Any]) -> int:
    """Boxes whose spans all hold words, as MDETR's ConvertCocoPolysToMask takes them."""
    captions = {image["id"]: image["caption"] for image in raw["images"]}
    return sum(
        all(captions[entry["image_id"]][a:b].strip() for a, b in entry["tokens_positive"])
        for entry in raw["annotations"]
        if entry["iscrowd"] == 0
    )


def test_mdetr(root: Path, records: list[CuratedRecord]) -> None:
    raw = json.loads(Path(exported(records, "goldg", root)).read_text())
    assert mdetr_positive_maps(raw) == box_count(records)
    assert {image["dataset_name"] for image in raw["images"]} == {"mixed"}


def test_ultralytics_finds_labels_beside_images(root: Path, records: list[CuratedRecord]) -> None:
    import yaml

    options = ExportOptions(split=(0.6, 0.4), seed=3)
    folder = root / "yolo-split"
    summary = export_records(records, "yolo", str(folder), options)
    config = yaml.safe_load((folder / "data.yaml").read_text())
    lines = 0
    for split in (config["train"], config["val"]):
        images = sorted((folder / split).iterdir())
        for image in images:
            label = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")
            rows = np.loadtxt(label, ndmin=2).reshape(-1, 5)
            lines += len(rows)
            assert (rows[:, 1:] >= 0).all()
            assert (rows[:, 1:] <= 1).all()
            assert set(rows[:, 0].astype(int)) <= set(config["names"])
    assert lines == box_count(records)
    assert set(summary.split_pairs) == {"train", "val"}
