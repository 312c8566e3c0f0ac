from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.gold import load_gold
from schemas.errors import DataError
from tests.pipeline.gold.files import write_json, write_lines


def test_imagefolder_both_layouts(tmp_path: Path) -> None:
    size = {"width": 64, "height": 48}
    mine = [{"bbox": [1, 2, 3, 4], "category": "dog", "iscrowd": 0}]
    theirs = {"bbox": [[1, 2, 3, 4]], "categories": ["cat"]}
    write_lines(
        tmp_path / "metadata.jsonl",
        {"file_name": "images/a.jpg", "caption": "x", "boxes": mine} | size,
        {"file_name": "images/b.jpg", "objects": theirs} | size,
        {"file_name": "images/c.jpg", "boxes": []} | size,
        {"file_name": "images/d.jpg"} | size,
        {"file_name": "images/e.jpg", "boxes": None} | size,
    )
    gold = load_gold(str(tmp_path))
    assert gold.categories == ("cat", "dog")
    assert [s.caption for s in gold.samples] == ["dog", "cat", "", "", ""]
    assert gold.samples[0].image_uri == f"{tmp_path}/images/a.jpg"
    assert gold.samples[0].sample_id == "images/a.jpg"


def test_metadata_of_every_kind_that_datasets_reads(tmp_path: Path) -> None:
    objects = {"bbox": [[1, 2, 3, 4]], "categories": ["cat"]}
    rows = [
        {"file_name": "a,b.jpg", "width": 64, "height": 48, "objects": objects},
        {"file_name": "b.jpg", "width": 64, "height": 48, "objects": None},
    ]
    for name in "jpc":
        (tmp_path / name).mkdir()
    write_lines(tmp_path / "j" / "metadata.jsonl", *rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p" / "metadata.parquet")
    lines = io.StringIO()
    table = csv.DictWriter(lines, list(rows[0]))
    table.writeheader()
    table.writerow(rows[0] | {"objects": json.dumps(objects)})
    table.writerow(rows[1])
    (tmp_path / "c" / "metadata.csv").write_text(lines.getvalue())
    for name in ("j/metadata.jsonl", "p/metadata.parquet", "c/metadata.csv"):
        for path in (tmp_path / name, (tmp_path / name).parent):
            gold = load_gold(str(path))
            assert (gold.format, gold.categories) == ("imagefolder", ("cat",))
            assert [(s.sample_id, s.boxes) for s in gold.samples] == [
                ("a,b.jpg", ((1, 2, 4, 6),)),
                ("b.jpg", ()),
            ]
    (tmp_path / "c" / "metadata.csv").write_text("file_name,objects\na.jpg,{'bbox'\n")
    with pytest.raises(DataError, match=r"metadata.csv line 2: objects must be JSON, got"):
        load_gold(str(tmp_path / "c"))
    (tmp_path / "c" / "metadata.csv").write_text("file_name,text\na.jpg,a cat\n")
    with pytest.raises(DataError, match=r"line 2: boxes must be list, got None, here and in every"):
        load_gold(str(tmp_path / "c"))


def test_hugging_face_rows_with_numbers_and_without_sizes(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg")
    objects = {"bbox": [[1, 2, 3, 4], [5, 6, 7, 8]], "category": [1, 0], "iscrowd": [0, 1]}
    path = write_lines(
        tmp_path / "metadata.jsonl",
        {"file_name": "a.jpg", "objects": objects},
        {"file_name": "b.jpg", "width": 64, "height": 48, "objects": None},
        {"file_name": "gone.jpg", "objects": None},
        {"file_name": "d.jpg", "width": 9, "height": 9}
        | {"objects": [{"bbox": [1, 1, 2, 2], "category": "cat"}]},
    )
    gold = load_gold(path)
    assert gold.categories == ("0", "1", "cat")
    assert [(s.width, s.caption) for s in gold.samples] == [(64, "1"), (64, ""), (9, "cat")]
    assert gold.counts["dropped: crowd region"] == 1
    assert [n for key, n in gold.counts.items() if "size is not in the file" in key] == [1]
    names = "[cat, dog]"
    (tmp_path / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: objects\n    sequence:\n"
        f"    - name: category\n      dtype:\n        class_label:\n          names: {names}\n"
        "---\nText.\n"
    )
    gold = load_gold(path)
    assert gold.categories == ("cat", "dog")
    assert gold.samples[0].caption == "dog"
    own = write_json(tmp_path / "own.json", {"0": "kid", "1": "kite"})
    assert load_gold(path, label_map=own).categories == ("kid", "kite", "cat")


def test_a_cell_with_the_boxes_of_a_crowded_image_is_read(tmp_path: Path) -> None:
    """In a process of its own: the csv module has one limit for all that were imported."""
    objects = {"bbox": [[1, 2, 3, 4]] * 20_000, "categories": ["cat"] * 20_000}
    with (tmp_path / "metadata.csv").open("w") as lines:
        table = csv.writer(lines)
        table.writerow(["file_name", "width", "height", "objects"])
        table.writerow(["a.jpg", 64, 48, json.dumps(objects)])
    code = "import sys; from pipeline.gold.load import load_gold as load; "
    code += "print(len(load(sys.argv[1]).samples[0].boxes))"
    command = [sys.executable, "-c", code, str(tmp_path / "metadata.csv")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "20000\n"


def test_an_imagefolder_without_boxes_is_explained(tmp_path: Path) -> None:
    row = {"file_name": "a.jpg", "caption": "x", "width": 64, "height": 48}
    path = write_lines(tmp_path / "metadata.jsonl", row)
    with pytest.raises(DataError, match=r"line 1: boxes must be list, got None"):
        load_gold(path)


def hub_table(path: Path, objects: list[Any], **more: list[Any]) -> str:
    """Rows as `datasets` writes them, with a class label of the image beside that of the boxes."""
    images = []
    for number in range(len(objects)):
        data = io.BytesIO()
        Image.new("RGB", (60 + number, 40)).save(data, "PNG")
        images.append({"bytes": data.getvalue(), "path": None})
    labels = {"_type": "ClassLabel", "names": ["x", "y", "z"]}
    boxes = {"category": {"feature": {"_type": "ClassLabel", "names": ["cat", "dog"]}}}
    features = {"info": {"features": {"label": labels, "objects": boxes}}}
    table = pa.table({"image": images, "objects": objects} | more)
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)
    return str(path)


@pytest.mark.parametrize("form", ["lists", "a list"])
def test_parquet_of_the_hub(tmp_path: Path, form: str) -> None:
    """`Sequence({...})` is stored as lists, `List({...})` as a list; sizes may be missing."""
    boxes = [[[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 5.0, 5.0]], [], [[0.0, 0.0, 99.0, 9.0]]]
    labels = [[1, 0], [], [1]]
    crowds = [[False, True], [], [None]]
    rows = [
        {"bbox": b, "category": c, "iscrowd": i}
        for b, c, i in zip(boxes, labels, crowds, strict=True)
    ]
    objects: list[Any] = [*rows, None]
    if form == "a list":
        objects = [
            [dict(zip(row, one, strict=True)) for one in zip(*row.values(), strict=True)]
            for row in rows
        ] + [None]
    gold = load_gold(hub_table(tmp_path / "a.parquet", objects))
    assert (gold.format, gold.categories) == ("hf", ("cat", "dog"))
    assert [(s.width, s.caption, s.boxes) for s in gold.samples] == [
        (60, "dog", ((1, 2, 4, 6),)),
        (61, "", ()),
        (62, "dog", ((0, 0, 62, 9),)),
        (63, "", ()),
    ]
    assert gold.counts["dropped: crowd region"] == 1
    wide = hub_table(tmp_path / "b.parquet", objects, width=[100] * 4, height=[40] * 4)
    assert load_gold(wide).samples[2].boxes == ((0, 0, 99, 9),)


def test_hub_rows_that_break_are_explained(tmp_path: Path) -> None:
    uneven = {"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [1, 0]}
    with pytest.raises(DataError, match=r"row 0: objects has 1 boxes and 2 category"):
        load_gold(hub_table(tmp_path / "a.parquet", [uneven]))
    uneven = {"bbox": [[1.0, 2.0, 3.0, 4.0]], "spans": [[[0, 1]], [[0, 1]]]}
    with pytest.raises(DataError, match=r"row 0: objects has 1 boxes and spans for 2"):
        load_gold(hub_table(tmp_path / "a.parquet", [uneven], caption=["a cat"]))


def test_columns_of_the_hub_that_are_null_say_nothing(tmp_path: Path) -> None:
    box = [1.0, 2.0, 3.0, 4.0]
    rows = [
        {"bbox": None, "category": None, "iscrowd": None},
        {"bbox": [box], "category": [1], "iscrowd": None},
    ]
    gold = load_gold(hub_table(tmp_path / "a.parquet", rows))
    assert [len(sample.boxes) for sample in gold.samples] == [0, 1]
    rows[0] = {"bbox": [box], "category": None, "iscrowd": None}
    with pytest.raises(DataError, match="row 0: objects: category must be list, got None"):
        load_gold(hub_table(tmp_path / "a.parquet", rows))


def test_of_several_metadata_files_of_a_folder_the_first_is_read(tmp_path: Path) -> None:
    """A table beside the lines mostly says the same once more, or less."""
    objects = {"bbox": [[1, 2, 3, 4]], "categories": ["cat"]}
    row = {"file_name": "a.jpg", "width": 64, "height": 48, "objects": objects}
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        write_lines(tmp_path / split / "metadata.jsonl", row)
        (tmp_path / split / "metadata.csv").write_text("file_name,text\na.jpg,a cat\n")
    assert [len(s.boxes) for s in load_gold(str(tmp_path / "train")).samples] == [1]
    assert len(load_gold(str(tmp_path)).samples) == 2
