"""Export -> import -> export -> import: nothing changes that the format can say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.fingerprint import sha256_bytes
from schemas.records import CuratedRecord
from tests.pipeline.imported.corpora import exported, imported, load, random_records

GROUNDING = ("goldg", "odvg", "glip-tsv", "grit", "boxes", "hf")
DETECTION = ("coco", "lvis", "odvg-detection", "hf-imagefolder", "yolo")
KEEPS_EMPTY = ("goldg", "grit", "hf")
KEEPS_NEGATIVES = ("goldg",)


def grounding_of(records: list[CuratedRecord]) -> Counter:
    """Boxes with their spans, by pair."""
    found: Counter = Counter()
    for record in records:
        spans = [(phrase.start, phrase.end) for phrase in record.phrases]
        for box in record.boxes:
            named = tuple(sorted(spans[i] for i in box.phrase_indices))
            found[record.caption, tuple(np.float32(box.xyxy)), named] += 1
    return found


def grounding_in(gold: GoldSet) -> Counter:
    return Counter(
        (sample.caption, tuple(np.float32(xyxy)), tuple(sorted(spans)))
        for sample in gold.samples
        for xyxy, spans in zip(sample.boxes, sample.spans, strict=True)
    )


def detection_of(records: list[CuratedRecord], decimals: int = 3) -> Counter:
    return Counter(
        (
            Path(record.image_uri).stem,
            tuple(np.round(box.xyxy, decimals)),
            record.phrases[box.phrase_indices[0]].head,
        )
        for record in records
        for box in record.boxes
    )


def detection_in(gold: GoldSet, decimals: int = 3) -> Counter:
    return Counter(
        (Path(sample.image_uri).stem, tuple(np.round(xyxy, decimals)), gold.categories[category])
        for sample in gold.samples
        for xyxy, category in zip(sample.boxes, gold.box_categories[sample.sample_id], strict=True)
    )


def in_turn(
    records: list[CuratedRecord], names: tuple[str, ...], tmp_path: Path, root: str
) -> tuple[list[GoldSet], list[CuratedRecord]]:
    """Export in the first format, import, export in the next, and so on."""
    golds = []
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = exported(records, name, folder, root)
        gold = load(path, name, root)
        golds.append(gold)
        records = list(imported(gold, path, folder / "run"))
    return golds, records


@pytest.mark.parametrize("name", GROUNDING)
@pytest.mark.parametrize("seed", [1, 2])
def test_grounding_formats_say_what_they_were_given(tmp_path: Path, name: str, seed: int) -> None:
    root = tmp_path / "images"
    records = random_records(root, seed)
    (first, second), back = in_turn(records, (name, name), tmp_path, str(root))
    assert first.kind is GoldKind.GROUNDING
    assert grounding_in(first) == grounding_of(records)
    assert _but_source(first) == _but_source(second)
    assert grounding_of(back) == grounding_of(records)
    kept = [record for record in records if record.boxes or name in KEEPS_EMPTY]
    assert [sample.sample_id for sample in first.samples] == [one.record_id for one in kept]
    negatives = sum(len(sample.negative_spans) for sample in first.samples)
    assert bool(negatives) == (name in KEEPS_NEGATIVES)


def _but_source(gold: GoldSet) -> list[tuple]:
    """Samples without what is named after the file, and images by name: hf has its own."""
    return [
        (s.sample_id, s.width, s.height, s.caption, s.boxes, s.spans, s.negative_spans)
        for s in gold.samples
    ]


# Rows of a TSV do not say where their images are: there is nothing to embed.
PAIRS = [pair for pair in product(GROUNDING, GROUNDING) if pair != ("glip-tsv", "hf")]


@pytest.mark.parametrize("first, second", PAIRS)
def test_grounding_formats_one_into_another(tmp_path: Path, first: str, second: str) -> None:
    root = tmp_path / "images"
    records = random_records(root, 3, num_images=4)
    golds, _ = in_turn(records, (first, second), tmp_path, str(root))
    assert grounding_in(golds[-1]) == grounding_of(records)


@pytest.mark.parametrize("name", DETECTION)
def test_detection_formats_say_what_they_were_given(tmp_path: Path, name: str) -> None:
    root = tmp_path / "images"
    records = random_records(root, 4)
    (first, second), _ = in_turn(records, (name, name), tmp_path, str(root))
    assert first.kind is GoldKind.DETECTION
    assert detection_in(first) == detection_of(records)
    assert detection_in(second) == detection_in(first)
    assert len(second.samples) == len(first.samples) == len({r.image_uri for r in records})
    assert set(second.categories) == set(first.categories)


@pytest.mark.parametrize("first", DETECTION)
@pytest.mark.parametrize("second", DETECTION)
def test_detection_formats_one_into_another(tmp_path: Path, first: str, second: str) -> None:
    root = tmp_path / "images"
    records = random_records(root, 5, num_images=4)
    golds, _ = in_turn(records, (first, second), tmp_path, str(root))
    assert detection_in(golds[-1]) == detection_of(records)


def test_flickr30k_keeps_spans_and_whole_pixels(tmp_path: Path) -> None:
    root = tmp_path / "images"
    records = random_records(root, 6)
    (first, second), _ = in_turn(records, ("flickr30k", "flickr30k"), tmp_path, str(root))
    assert grounding_in(first) == grounding_in(second)
    assert len(first.samples) == len(records)
    spans = [spans for _, _, spans in grounding_in(first).elements()]
    assert Counter(spans) == Counter(spans for _, _, spans in grounding_of(records).elements())
    for sample in first.samples:
        assert all(float(v).is_integer() for xyxy in sample.boxes for v in xyxy)


def test_our_coco_holds_captions_and_spans_too(tmp_path: Path) -> None:
    from pipeline.gold import load_gold
    from pipeline.gold.load import guess_format

    root = tmp_path / "images"
    records = random_records(root, 7)
    path = exported(records, "coco", tmp_path, str(root))
    assert guess_format(path) == "coco"
    assert guess_format(path, grounding=True) == "mdetr"
    gold = load_gold(path, "mdetr", image_root=str(root))
    assert grounding_in(gold) == grounding_of(records)
    assert [sample.sample_id for sample in gold.samples] == [one.record_id for one in records]


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_flickr30k_finds_images_of_any_spelling(tmp_path: Path, mode: str) -> None:
    """Its readers put `.jpg` behind an id."""
    root = tmp_path / "images"
    records = []
    for number, name in enumerate(("A.jpg", "sub/a.JPG", "b.jpeg", "B.JPG", "c.JPE", "d.png")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode == "link" and name == "d.png":
            continue  # no link makes it a JPEG
        Image.new("RGB", (64, 48), (number * 40, 0, 0)).save(path)
        record = random_records(tmp_path / f"r{number}", 6, num_images=1)[0]
        boxes = tuple(replace(box, xyxy=(1.0, 2.0, 9.0, 9.0)) for box in record.boxes[:1])
        data = path.read_bytes()
        changes = {"record_id": f"r/{number}", "image_uri": str(path), "boxes": boxes}
        size = {"width": 64, "height": 48, "image_sha256": sha256_bytes(data)}
        records.append(replace(record, **changes, **size))  # type: ignore[arg-type]
    path = exported(records, "flickr30k", tmp_path, images=mode)
    gold = load(path, "flickr30k", "")
    assert len({sample.image_uri for sample in gold.samples}) == len(records)
    for sample in gold.samples:
        assert Path(sample.image_uri).is_file()
        assert sample.image_uri.endswith(".jpg")
