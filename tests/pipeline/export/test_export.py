from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.export import ExportOptions, export_records
from pipeline.gold import load_gold
from schemas.boxes import xywh_to_xyxy
from schemas.errors import ConfigError, DataError
from schemas.records import CuratedRecord, Phrase
from tests.pipeline.export.golden import (
    FILES,
    GOLDEN,
    box,
    dogs_record,
    empty_record,
    golden_records,
    kite_record,
    write_golden,
)


def test_every_format_writes_what_the_golden_files_hold(tmp_path: Path) -> None:
    write_golden(tmp_path)
    names = sorted(path.name for path in GOLDEN.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes(), name


@pytest.mark.parametrize("export_format", FILES)
def test_nothing_to_export_is_still_a_whole_file(tmp_path: Path, export_format: str) -> None:
    path = tmp_path / FILES[export_format]
    summary = export_records([], export_format, str(path))
    assert path.exists()
    assert (summary.records, summary.boxes, dict(summary.left_out)) == (0, 0, {})


@pytest.mark.parametrize("export_format", FILES)
def test_the_summary_says_what_is_in_and_what_is_not(tmp_path: Path, export_format: str) -> None:
    path = str(tmp_path / "deep" / FILES[export_format])
    options = ExportOptions(image_root="corpus/")
    summary = export_records(golden_records(), export_format, path, options)
    keeps_empty = export_format not in ("odvg", "glip-tsv", "boxes")
    assert (summary.records, summary.boxes, summary.spans) == (2 + keeps_empty, 5, 6)
    assert summary.empty == keeps_empty
    unsaid = summary.left_out["pair without a box, which this format cannot say"]
    assert unsaid == (not keeps_empty)
    said = any("are outside of --image-root" in note for note in summary.notes)
    assert said
    if export_format in ("goldg", "lvis"):
        assert summary.negatives == 2  # two phrases, one span each
    assert summary.notes
    assert summary.paths[0] == path


@pytest.mark.parametrize("export_format", FILES)
def test_a_wrong_span_stops_the_export_and_leaves_no_file(
    tmp_path: Path, export_format: str
) -> None:
    good = kite_record()
    moved = replace(good.phrases[1], start=good.phrases[1].start + 1)
    bad = replace(good, record_id="toy/bad", phrases=(good.phrases[0], moved, *good.phrases[2:]))
    path = tmp_path / FILES[export_format]
    with pytest.raises(DataError, match=r"export, record 1 \('toy/bad'\): phrases\[1\]: caption"):
        export_records([good, bad], export_format, str(path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("export_format", ["goldg", "odvg"])
def test_the_importers_read_back_what_was_written(tmp_path: Path, export_format: str) -> None:
    path = str(tmp_path / FILES[export_format])
    export_records(golden_records(), export_format, path, ExportOptions(image_root="corpus"))
    gold = load_gold(path, image_root="corpus")
    assert not any(key.startswith("dropped") and n for key, n in gold.counts.items())
    written = [kite_record(), dogs_record(), empty_record()][: 3 if export_format == "goldg" else 2]
    for record, sample in zip(written, gold.samples, strict=True):
        assert (sample.sample_id, sample.caption) == (record.record_id, record.caption)
        assert (sample.width, sample.height) == (record.width, record.height)
        assert links(record) == {
            (tuple(round(v, 3) for v in xyxy), span)
            for xyxy, spans in zip(sample.boxes, sample.spans, strict=True)
            for span in spans
        }
    assert gold.samples[0].image_uri == "corpus/images/beach.jpg"
    negatives = [KITE_SPAN["no dog"], KITE_SPAN["dog"]] if export_format == "goldg" else []
    assert list(gold.samples[0].negative_spans) == negatives


KITE_SPAN = {p.text: (p.start, p.end) for p in kite_record().phrases}


def links(record: CuratedRecord) -> set[tuple[tuple[float, ...], tuple[int, int]]]:
    """Every (box, span) pair of a record."""
    return {
        (tuple(round(v, 3) for v in one.xyxy), (record.phrases[i].start, record.phrases[i].end))
        for one in record.boxes
        for i in one.phrase_indices
    }


@pytest.mark.parametrize("categories, expected", [("head", ["kid", "kite", "dog"]), ("object", 1)])
def test_pycocotools_loads_plain_coco(
    tmp_path: Path, categories: str, expected: list[str] | int
) -> None:
    from pycocotools.coco import COCO

    path = str(tmp_path / "coco.json")
    export_records(golden_records(), "coco", path, ExportOptions(categories=categories))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
        names = [entry["name"] for entry in coco.loadCats(coco.getCatIds())]
        assert names == (expected if isinstance(expected, list) else ["object"])
        results = [
            {key: entry[key] for key in ("image_id", "category_id", "bbox", "score")}
            for entry in coco.dataset["annotations"]
        ]
        assert len(coco.loadRes(results).getAnnIds()) == 5
    boxes = xywh_to_xyxy([entry["bbox"] for entry in coco.dataset["annotations"]])
    assert boxes[:3].tolist() == [list(one.xyxy) for one in kite_record().boxes]
    first = coco.dataset["annotations"][0]
    assert (first["phrase"], first["phrase_id"], first["tokens_positive"]) == (
        "two kids",
        0,
        [[0, 8]],
    )
    assert load_gold(path).format == "coco"
    assert [sample.sample_id for sample in load_gold(path).samples] == ["toy/0", "toy/1", "toy/2"]


def test_an_image_with_several_captions_has_one_entry(tmp_path: Path) -> None:
    """The others of its captions may come much later; pycocotools and FiftyOne see one image."""
    first, second = kite_record(), dogs_record()
    again = replace(first, record_id="toy/again", boxes=(box(7, (1.0, 1.0, 9.0, 9.0), (1,), 0.7),))
    other = replace(first, record_id="toy/other", width=641)
    path = tmp_path / "coco.json"
    summary = export_records([first, again, second, again, other], "coco", str(path))
    raw = json.loads(path.read_text())
    assert [entry["record_ids"] for entry in raw["images"]] == [
        ["toy/0", "toy/again", "toy/again"],
        ["toy/1"],
    ]
    assert [len(entry["captions"]) for entry in raw["images"]] == [3, 1]
    assert [(a["image_id"], a["caption_index"]) for a in raw["annotations"]] == [
        *[(1, 0)] * 3,
        (1, 1),
        *[(2, 0)] * 2,
        (1, 2),
    ]
    assert summary.left_out == {
        "pair whose image has another size than an earlier pair of the same file name": 1
    }
    export_records([first, again], "coco", str(path), ExportOptions(keep_pairs=True))
    assert [len(entry["captions"]) for entry in json.loads(path.read_text())["images"]] == [1, 1]


def test_a_category_that_one_caption_names_is_not_absent(tmp_path: Path) -> None:
    kite = kite_record()  # "no dog" has no box
    dog = replace(dogs_record(), image_uri=kite.image_uri, width=kite.width, height=kite.height)
    path = tmp_path / "lvis.json"
    export_records([kite, dog], "lvis", str(path))
    raw = json.loads(path.read_text())
    names = {entry["id"]: entry["name"] for entry in raw["categories"]}
    (entry,) = raw["images"]
    assert entry["neg_category_ids"] == []
    assert [names[i] for i in entry["not_exhaustive_category_ids"]] == ["kid", "kite", "dog"]
    assert [c["image_count"] for c in raw["categories"]] == [1, 1, 1]


def test_lvis_lists_known_absences_and_never_claims_to_be_exhaustive(tmp_path: Path) -> None:
    path = str(tmp_path / "lvis.json")
    export_records(golden_records(), "lvis", path)
    raw = json.loads(Path(path).read_text())
    names = {entry["id"]: entry["name"] for entry in raw["categories"]}
    assert [names[i] for i in raw["images"][0]["neg_category_ids"]] == ["dog"]
    assert [names[i] for i in raw["images"][0]["not_exhaustive_category_ids"]] == ["kid", "kite"]
    kid = next(entry for entry in raw["categories"] if entry["name"] == "kid")
    assert (kid["image_count"], kid["instance_count"], kid["frequency"]) == (1, 2, "r")
    gold = load_gold(path)
    assert gold.format == "lvis"
    sample = gold.samples[0]
    assert [sample.caption[a:b] for a, b in sample.negative_spans] == ["dog"]


def test_glip_rows_are_found_by_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "glip.tsv"
    export_records(golden_records(), "glip-tsv", str(path))
    data = path.read_bytes()
    offsets = [int(line) for line in (tmp_path / "glip.lineidx").read_text().split()]
    assert len(offsets) == 2
    key, text = data[offsets[1] :].decode().rstrip("\n").split("\t")
    row = json.loads(text)
    assert (key, row["img_h"], row["img_w"]) == ("toy/1", 48, 64)
    assert row["tokens_positive"] == [[[0, 5]], [[10, 15]]]
    assert len(row["bboxes"]) == len(row["scores"]) == len(row["tokens_positive"])
    with pytest.raises(ConfigError, match=r"out must end in .tsv for glip-tsv, got 'x.json'"):
        export_records([], "glip-tsv", "x.json")


def test_grit_chunks_are_shares_of_the_image(tmp_path: Path) -> None:
    path = tmp_path / "grit.parquet"
    export_records(golden_records(), "grit", str(path))
    row = pq.read_table(path).to_pylist()[0]
    assert len(row["noun_chunks"]) == 4  # one per box and phrase
    start, end, x0, y0, x1, y1, score = row["noun_chunks"][2]
    assert kite_record().caption[int(start) : int(end)] == "a red kite"
    assert (x0 * 640, y0 * 480, x1 * 640, y1 * 480) == pytest.approx((300, 30, 390, 100))
    assert score == 0.9375


def test_grit_tells_expressions_from_chunks(tmp_path: Path) -> None:
    record = golden_records()[0]
    whole = Phrase(text=record.caption, start=0, end=len(record.caption), head="kid")
    first = replace(record.boxes[0], phrase_indices=(0, len(record.phrases)))
    wider = replace(record, phrases=(*record.phrases, whole), boxes=(first,))
    export_records([wider], "grit", str(tmp_path / "grit.parquet"))
    (row,) = pq.read_table(tmp_path / "grit.parquet").to_pylist()
    assert [chunk[:2] for chunk in row["noun_chunks"]] == [[0.0, 8.0]]
    assert [one[:2] for one in row["ref_exps"]] == [[0.0, float(len(record.caption))]]
    assert row["ref_exps"][0][2:] == row["noun_chunks"][0][2:]


def test_float32_corners_survive(tmp_path: Path) -> None:
    import numpy as np

    corners = tuple(float(np.float32(v)) for v in (0.1, 0.2, 639.9, 479.7))
    record = replace(kite_record(), boxes=(box(0, corners, (0,), 0.3),))
    path = str(tmp_path / "odvg.jsonl")
    export_records([record], "odvg", path)
    assert json.loads(Path(path).read_text())["grounding"]["regions"][0]["bbox"] == [
        0.1,
        0.2,
        639.9,
        479.7,
    ]
    assert load_gold(path).samples[0].boxes[0] == pytest.approx(corners, abs=1e-4)


def test_negatives_overlapping_a_named_phrase_are_left_out(tmp_path: Path) -> None:
    record = kite_record()
    named = replace(record, boxes=(box(0, (1.0, 1.0, 9.0, 9.0), (3,), 0.9),))  # "no dog"
    summary = export_records([named], "goldg", str(tmp_path / "g.json"))
    assert summary.negatives == 0
    assert summary.left_out["negative phrase that overlaps or repeats a named one"] == 1


@pytest.mark.parametrize("export_format", FILES)
def test_on_an_object_store(export_format: str) -> None:
    from pipeline.storage.files import read_bytes

    url = f"memory://export-test/{FILES[export_format]}"
    export_records(golden_records(), export_format, url)
    assert len(read_bytes(url)) > 200


def test_an_unwritable_place_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"out '.*file/a.json' cannot be written"):
        export_records([], "goldg", str(tmp_path / "file" / "a.json"))


def test_wrong_options_are_explained() -> None:
    with pytest.raises(ConfigError, match=r"format must be one of goldg, .*got 'voc'"):
        export_records([empty_record()], "voc", "x")
    for fields, message in (
        ({"images": "paint"}, r"images must be one of reference, copy, link, embed, got 'paint'"),
        ({"image_names": "new"}, r"image_names must be one of original, content, got 'new'"),
        ({"image_root": "a", "images": "copy"}, r"give image_root or images copy, not both"),
        ({"shard_pairs": -1}, r"shard_pairs must be 0 or more, got -1"),
        ({"tsv_version": 3}, r"tsv_version must be 1 or 2, got 3"),
        ({"split": (0.5, 0.4)}, r"split must be two or three shares that add up to 1.*0.5,0.4"),
        ({"split": (1.0,)}, r"split must be two or three shares"),
    ):
        with pytest.raises(ConfigError, match=message):
            ExportOptions(**fields)
    with pytest.raises(ConfigError, match=r"images must be embed for hf, got 'copy'"):
        export_records([], "hf", "x", ExportOptions(images="copy"))
    with pytest.raises(ConfigError, match=r"images 'copy' needs the folder where they go"):
        export_records([], "coco", "x.json", ExportOptions(images="copy"))
    with pytest.raises(ConfigError, match=r"out must end in .json for coco, got 'x'"):
        export_records([], "coco", "x")
