"""Records that cannot be used become records with a reason, in every format, and nothing stops."""

from __future__ import annotations

import gzip
import json
import shutil
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import CorpusOptions, open_corpus
from schemas.errors import UnitError
from schemas.records import CorpusRecord, Status
from tests.pipeline.corpus.corpora import (
    CAPTIONS,
    WRITERS,
    picture,
    write_images,
    write_lines,
    write_tar,
)


def read(path: Path, **options) -> list[CorpusRecord]:
    corpus = open_corpus(str(path), CorpusOptions(**options))
    return [record for unit in corpus.units() for record in corpus.read(unit)]


def errors(records: list[CorpusRecord]) -> list[tuple[str, str] | None]:
    return [None if r.error is None else (r.error[0].value, r.error[1]) for r in records]


@pytest.mark.parametrize(
    "row, status, detail",
    [
        ({"image": "0.png"}, "caption_missing", "there is no caption"),
        ({"image": "0.png", "caption": " \n"}, "caption_missing", "the caption is blank"),
        ({"image": "0.png", "caption": 7}, "caption_invalid", "must be text, got int '7'"),
        ({"image": "0.png", "caption": "a\0b"}, "caption_invalid", "a NUL character at 1"),
        ({"image": "0.png", "caption": "\ud800"}, "caption_invalid", "half a surrogate pair at 0"),
        ({"image": "", "caption": "a dog"}, "image_missing", "the row names no image"),
        ({"caption": "a dog"}, "image_missing", "the row names no image"),
        ({"image": 3, "caption": "a dog"}, "record_invalid", "the image must be a path, got int"),
        ({"image": "../x", "caption": "a"}, "record_invalid", "'../x' leaves the corpus folder"),
        ({"image": "a\0", "caption": "a"}, "record_invalid", "holds a NUL character"),
        ([1, 2], "record_invalid", "must be a JSON object, got list"),
    ],
)
def test_a_bad_line_is_a_row(row, status: str, detail: str, tmp_path: Path) -> None:
    write_images(tmp_path)
    good = {"image": "1.png", "caption": "a cat"}
    records = read(write_lines(tmp_path / "pairs.jsonl", [good, row, good]))
    assert [record.error is None for record in records] == [True, False, True]
    assert errors(records)[1] is not None
    assert errors(records)[1][0] == status
    assert detail in errors(records)[1][1]


def test_text_that_is_no_json_or_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(
        b'{"image": "0.png", "caption": "a dog"}\n{"image": \n\n'
        b'{"image": "0.png", "caption": "caf\xe9"}\n'
    )
    found = errors(read(path))
    assert found[0] is None
    assert found[1][0] == "record_invalid"
    assert "line at byte 39: not JSON" in found[1][1]
    assert found[2] == ("caption_invalid", "not UTF-8: byte 0xe9 at character 3")


def test_a_gzip_that_ends_early_keeps_what_was_read(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({"image": f"{n}.png", "caption": f"a dog{n}"}) + "\n" for n in range(2000)
    )
    data = gzip.compress(lines.encode())
    (tmp_path / "pairs.jsonl.gz").write_bytes(data[: len(data) * 2 // 3])
    records = read(tmp_path / "pairs.jsonl.gz")
    assert len(records) > 100
    assert [r.error is None for r in records[:-1]] == [True] * (len(records) - 1)
    kind, reason = errors(records)[-1]
    assert kind == "record_invalid"
    assert "damaged gzip data behind byte" in reason


def test_equal_ids_are_told_apart(tmp_path: Path) -> None:
    rows = [{"image": "0.png", "caption": "a dog", "id": "same"}] * 3
    records = read(write_lines(tmp_path / "pairs.jsonl", rows))
    ids = [record.record_id.rpartition("/")[2] for record in records]
    assert ids == ["same", "same~2", "same~3"]
    assert [e and e[0] for e in errors(records)] == [None, "duplicate_id", "duplicate_id"]


def test_a_list_of_captions_is_a_pair_for_each(tmp_path: Path) -> None:
    rows = [{"image": "0.png", "captions": ["a dog", "a cat"]}]
    path = write_lines(tmp_path / "pairs.jsonl", rows)
    assert [record.caption for record in read(path)] == ["a dog", "a cat"]
    assert [record.caption for record in read(path, captions="first")] == ["a dog"]


def test_a_torn_tar_keeps_the_samples_before(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "0.tar",
        {
            f"{n}.{e}": picture(n) if e == "png" else b"a dog"
            for n in range(4)
            for e in ("png", "txt")
        },
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: 512 * 11])
    records = read(path)
    assert [record.error is None for record in records[:2]] == [True, True]
    assert records[-1].error is not None
    assert records[-1].error[0] == Status.RECORD_INVALID


@pytest.mark.parametrize(
    "members, status, detail",
    [
        ({"a.txt": b"a dog"}, "image_missing", "the sample has no image member, only: txt"),
        ({"a.png": picture(0)}, "caption_missing", "there is no caption"),
        ({"a.png": picture(0), "a.txt": b"caf\xe9"}, "caption_invalid", "not UTF-8: byte 0xe9"),
        ({"../a.png": picture(0), "../a.txt": b"x"}, "record_invalid", "leaves the archive"),
        ({"a.png": picture(0), "a.json": b"{"}, "record_invalid", "its .json is broken"),
    ],
)
def test_a_bad_sample_is_a_row(members, status: str, detail: str, tmp_path: Path) -> None:
    good = {"b.png": picture(1), "b.txt": b"a cat"}
    records = read(write_tar(tmp_path / "0.tar", {**members, **good}))
    assert len(records) == 2
    assert errors(records)[0][0] == status
    assert detail in errors(records)[0][1]
    assert errors(records)[1] is None


def test_a_json_beside_an_image_has_the_caption(tmp_path: Path) -> None:
    members = {
        "a.png": picture(0),
        "a.json": json.dumps({"caption": "a dog", "uid": "u1"}).encode(),
    }
    path = write_tar(tmp_path / "0.tar", members)
    (record,) = read(path)
    assert (record.caption, record.record_id.rpartition("/")[2]) == ("a dog", "a")
    (named,) = read(path, id_field="uid")
    assert named.record_id.rpartition("/")[2] == "u1"


def test_empty_cells_of_a_table(tmp_path: Path) -> None:
    table = pa.table(
        {
            "jpg": pa.array([picture(0), None, b"", picture(3)], pa.binary()),
            "caption": pa.array(["a dog", "a cat", "a hat", None]),
            "status": ["success", "failed_to_download", "success", "success"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = errors(read(tmp_path))
    assert found[0] is None
    assert found[1] == ("image_missing", "row 1 holds no image: failed_to_download")
    assert found[2] == ("image_missing", "row 2 holds no image")
    assert found[3] == ("caption_missing", "there is no caption")


def test_a_torn_row_group_keeps_its_number_of_rows(tmp_path: Path) -> None:
    path = WRITERS["parquet"](tmp_path / "toy") / "train-00000.parquet"
    data = bytearray(path.read_bytes())
    middle = data.index(picture(2)[:8], data.index(picture(1)[:8]) + 8)
    data[middle - 40 : middle + 60] = bytes(100)
    path.write_bytes(data)
    records = read(path)
    assert len(records) == len(CAPTIONS)


def lost_row_groups(data: bytes) -> bytes:
    """The Parquet file with two zeros in its footer: it opens and has no row group any more."""
    for start in range(len(data) - 8 - int.from_bytes(data[-8:-4], "little"), len(data) - 9):
        damaged = data[:start] + bytes(2) + data[start + 2 :]
        with suppress(pa.ArrowException, OSError):
            found = pq.ParquetFile(pa.BufferReader(damaged)).metadata
            if found.num_row_groups == 0 < found.num_rows:
                return damaged
    raise AssertionError("no such damage of this file")


def test_a_footer_that_lost_its_row_groups(tmp_path: Path) -> None:
    """Found by the fuzzer: such a file read as an empty one."""
    root = WRITERS["parquet"](tmp_path / "toy")
    path = root / "train-00000.parquet"
    shutil.copy(path, root / "train-00001.parquet")
    path.write_bytes(lost_row_groups(path.read_bytes()))
    corpus = open_corpus(str(root))
    units = corpus.units()
    assert len(list(corpus.read(units[-1]))) == 6
    with pytest.raises(UnitError, match="its footer says 6 rows, its row groups have 0"):
        list(corpus.read(units[0]))


def test_a_table_of_downloads_that_lost_its_row_groups(tmp_path: Path) -> None:
    root = WRITERS["img2dataset"](tmp_path / "toy")
    path = root / "00000.parquet"
    pq.write_table(pa.table({"key": ["900"], "status": ["failed_to_download"]}), path)
    path.write_bytes(lost_row_groups(path.read_bytes()))
    records = read(root)
    assert len(records) == 7
    assert "its row groups have 0" in str([error for error in errors(records) if error])


def test_a_parquet_file_without_the_column_fails_its_unit_alone(tmp_path: Path) -> None:
    root = WRITERS["parquet"](tmp_path / "toy")
    pq.write_table(pa.table({"x": [1]}), root / "train-00001.parquet")
    corpus = open_corpus(str(root))
    units = corpus.units()
    assert len(list(corpus.read(units[0]))) == 6
    with pytest.raises(UnitError, match="has no column 'image', 'caption'; it has x"):
        list(corpus.read(units[-1]))


def test_coco_entries_that_do_not_fit(tmp_path: Path) -> None:
    path = WRITERS["coco-captions"](tmp_path / "toy")
    content = json.loads(path.read_text())
    content["images"] += [{"file_name": "0.png"}, {"id": 90, "file_name": "0.png"}]
    content["annotations"] += [{"image_id": 77, "caption": "a lost one"}, "nonsense"]
    path.write_text(json.dumps(content))
    records = read(path)
    assert len(records) == 6 + 1 + 1 + 2
    details = [error for error in errors(records) if error]
    assert [status for status, _ in details] == [
        "record_invalid",
        "caption_missing",
        "record_invalid",
        "record_invalid",
    ]
    assert "images[6] has no id" in details[0][1]
    assert "image_id 77 of a caption is not in images" in details[2][1]


def test_images_without_any_caption(tmp_path: Path) -> None:
    write_images(tmp_path)
    records = read(tmp_path)
    assert [error and error[0] for error in errors(records)] == ["caption_missing"] * 6
    assert all(record.image_uri for record in records)
