from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from pipeline.gold import load_gold
from pipeline.gold.checks import read_json_lines
from pipeline.gold.opened import bare_suffix, opened, read_xml
from schemas.errors import DataError
from tests.pipeline.gold.files import coco_file

CVAT = (
    "<annotations><image id='0' name='é.jpg' width='64' height='48'>"
    "<box label='café' xtl='1' ytl='2' xbr='30' ybr='40'/></image></annotations>"
)
ODVG = {
    "filename": "é.jpg",
    "height": 48,
    "width": 64,
    "grounding": {"caption": "a\u2028cat", "regions": [{"phrase": "cat", "bbox": [1, 2, 3, 4]}]},
}
TEXTS = {
    "a.json": json.dumps(coco_file(), ensure_ascii=False),
    "a.jsonl": json.dumps(ODVG, ensure_ascii=False) + "\n",
    "a.xml": CVAT,
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_are_read_as_they_come(tmp_path: Path, name: str, coding: str, packed: bool) -> None:
    plain = tmp_path / name
    plain.write_text(TEXTS[name])
    expected = load_gold(str(plain))
    data = TEXTS[name].replace("\n", "\r\n").encode(coding)
    other = tmp_path / (name + ".gz" * packed)
    other.write_bytes(gzip.compress(data) if packed else data)
    found = load_gold(str(other))
    assert found.format == expected.format
    assert [s.boxes for s in found.samples] == [s.boxes for s in expected.samples]
    assert [s.caption for s in found.samples] == [s.caption for s in expected.samples]


@pytest.mark.parametrize("coding", ["iso-8859-1", "windows-1252"])
def test_xml_is_read_in_the_encoding_that_it_declares(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(f"<?xml version='1.0' encoding='{coding}'?>{CVAT}".encode(coding))
    assert load_gold(str(path)).categories == ("café",)


@pytest.mark.parametrize("coding", ["gb2312", "none-such"])
def test_an_encoding_that_nobody_knows_is_explained(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(f"<?xml version='1.0' encoding='{coding}'?><a/>".encode())
    with pytest.raises(DataError, match=r"a.xml' is not XML"):
        read_xml(path)


def test_half_a_gzip_file_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(TEXTS["a.json"].encode())[:-20])
    with pytest.raises(DataError, match=r"a.json.gz' cannot be read: Compressed file ended"):
        load_gold(str(path))


def test_a_line_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" * 5_000 + b'"\xe9"\n' + b"{}\n" * 5_000)
    with pytest.raises(DataError, match="a.jsonl line 5001 is not JSON"):
        list(read_json_lines(str(path)))


def test_an_array_that_occurs_twice_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(TEXTS["a.json"].replace("{", '{"images": [], ', 1))
    with pytest.raises(DataError, match="images occurs twice"):
        load_gold(str(path), "coco")


def test_endings() -> None:
    names = ("a.json", "a.JSON.GZ", "b.gz", "c")
    assert [bare_suffix(name) for name in names] == [".json", ".json", "", ""]


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(codecs.BOM_UTF16_LE[:1])
    with opened(tmp_path / "a") as stream:
        assert stream.read() == b"\xff"


@pytest.mark.parametrize("name", ["a.json.gz", "a.jsonl.gz", "a.xml.gz", "a.csv.gz"])
def test_a_file_that_unpacks_beyond_measure(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long text in it, which no reader could give back piece by piece."""
    monkeypatch.setattr("pipeline.storage.inflation.FREE_BYTES", 1 << 20)
    begin = {"j": b'{"images": [], "annotations": [{"a": "', "x": b"<annotations>", "c": b"XMin,"}
    path = tmp_path / name
    path.write_bytes(gzip.compress(begin[name[2]] + b" " * (3 << 20)))
    with pytest.raises(DataError, match=r"unpacks to more than 1,048,576 bytes.* with gunzip"):
        load_gold(str(path), {"l": "odvg"}.get(name[6], "auto"))


def test_an_honest_file_may_be_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.inflation.FREE_BYTES", 10)
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(TEXTS["a.json"].encode()))
    assert load_gold(str(path)).counts["boxes"] == 1
    with opened(path) as stream:
        assert stream.read() == TEXTS["a.json"].encode()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"images": ' + '[{"a":' * 100_000])
def test_json_that_is_too_deep_is_explained(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"is not JSON"):
        load_gold(str(path))
