"""Every export is read as programs that are not packages are known to read it."""

from __future__ import annotations

import base64
import io
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.export import ExportOptions, export_records
from pipeline.gold import load_gold
from schemas.records import CuratedRecord, Phrase
from tests.pipeline.export.counts import NUM_IMAGES, box_count, link_count
from tests.pipeline.imported.corpora import exported
from tests.schemas.builders import make_curated


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
    assert "path" not in config  # a relative one starts where Ultralytics runs, none at the file
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


def entities_helper(sentence: str) -> list[tuple[str, str, int]]:
    """(Phrase, chain, number of its first word), as the helper of Flickr30k Entities reads a line:
    word by word, a phrase from a word that begins with a bracket to one that ends with it."""
    found: list[tuple[str, str, int]] = []
    words: list[str] = []
    phrase: list[str] = []
    chain, first, is_inside = "", 0, False
    for token in sentence.split():
        if not is_inside and token[0] == "[":
            is_inside, first, phrase = True, len(words), []
            chain = token.split("/")[1].removeprefix("EN#")
            continue
        if is_inside and token[-1] == "]":
            is_inside, token = False, token[:-1]
            found.append((" ".join([*phrase, token]), chain, first))
        phrase.append(token)
        words.append(token)
    return found


def test_flickr30k_entities_is_read_word_by_word(tmp_path: Path) -> None:
    caption = 'The "red kite", a dog(old) and two\nkids.'
    texts = ("red kite", "a dog", "two\nkids")
    places = [(caption.index(text), text) for text in texts]
    phrases = tuple(Phrase(text=t, start=at, end=at + len(t), head="x") for at, t in places)
    image = tmp_path / "a.png"
    Image.new("RGB", (64, 48)).save(image)
    whole = make_curated()
    boxes = tuple(replace(whole.boxes[0], phrase_indices=(n,)) for n in range(3))
    boxes = tuple(replace(box, box_id=f"r/0#{n}") for n, box in enumerate(boxes))
    record = replace(
        whole,
        caption=caption,
        phrases=phrases,
        boxes=boxes,
        image_uri=str(image),
        image_sha256="",
        width=64,
        height=48,
    )
    export_records([record], "flickr30k", str(tmp_path / "out"))
    (sentence,) = (tmp_path / "out/Sentences/a.txt").read_text().splitlines()
    assert entities_helper(sentence) == [
        ("red kite", "1", 2),
        ("a dog", "2", 5),
        ("two kids", "3", 9),
    ]
    (sample,) = load_gold(str(tmp_path / "out")).samples
    assert sample.caption == 'The " red kite ", a dog (old) and two kids .'


def test_kosmos_reads_grit(root: Path, records: list[CuratedRecord]) -> None:
    """Offsets are floats that are cast; corners are shares of the image, in order."""
    links = 0
    for row in pq.read_table(exported(records, "grit", root), use_threads=False).to_pylist():
        for start, end, x0, y0, x1, y1, score in row["noun_chunks"]:
            assert row["caption"][int(start) : int(end)].strip()
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert 0 <= score <= 1
            links += 1
    assert links == link_count(records)
