"""CSV and its kin, and JSON arrays, as corpora."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pipeline.corpus import corpus as corpus_module
from pipeline.corpus.open import open_corpus
from pipeline.corpus.options import CorpusOptions
from schemas.errors import ConfigError
from schemas.records import CorpusRecord
from tests.pipeline.corpus.corpora import picture


def read(path: Path, **options: object) -> list[CorpusRecord]:
    corpus = open_corpus(str(path), CorpusOptions(**options))  # type: ignore[arg-type]
    return [record for unit in corpus.units() for record in corpus.read(unit)]


def pairs(records: list[CorpusRecord]) -> list[tuple[str, str | None]]:
    return [((r.image_uri or "").rpartition("/")[2], r.caption) for r in records]


def images(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(picture(number))
    return folder


@pytest.mark.parametrize(
    "name, text",
    [
        ("captions.txt", 'image,caption\na.jpg,A dog .\na.jpg,"A cat, two"\nb.jpg,Un chien é\n'),
        ("Flickr8k.token.txt", "a.jpg#0\tA dog .\na.jpg#1\tA cat, two\nb.jpg#0\tUn chien é\n"),
        (
            "results.csv",
            "image_name| comment_number| comment\na.jpg| 0| A dog .\na.jpg| 1| A cat, two\n"
            "b.jpg| 0| Un chien é\n",
        ),
        ("list.tsv", "caption\tfile_name\nA dog .\ta.jpg\nA cat, two\ta.jpg\nUn chien é\tb.jpg\n"),
        (
            "semi.csv",
            "\ufefffilename;caption\r\na.jpg;A dog .\r\na.jpg;A cat, two\r\nb.jpg;Un chien é",
        ),
        (
            "unquoted.csv",
            "id,image,caption\n1,a.jpg,A dog .\n2,a.jpg,A cat, two\n3,b.jpg,Un chien é\n",
        ),
    ],
)
def test_tables_of_captions(tmp_path: Path, name: str, text: str) -> None:
    images(tmp_path / "Images", "a.jpg", "b.jpg")
    (tmp_path / name).write_text(text)
    corpus = open_corpus(str(tmp_path))
    assert corpus.format == "csv"
    records = read(tmp_path)
    assert [r.error for r in records] == [None] * 3
    assert pairs(records) == [
        ("a.jpg", "A dog ."),
        ("a.jpg", "A cat, two"),
        ("b.jpg", "Un chien é"),
    ]
    assert all(Path(r.image_uri or "").is_file() for r in records)
    assert len({r.record_id for r in records}) == 3


def test_metadata_csv_is_an_image_folder(tmp_path: Path) -> None:
    images(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.jpg,a dog\nb.jpg,a cat\n")
    corpus = open_corpus(str(tmp_path))
    assert corpus.format == "imagefolder"
    assert [r.record_id.rpartition("/")[2] for r in read(tmp_path)] == ["a.jpg", "b.jpg"]
    (tmp_path / "metadata.csv").write_text("file_name,text\na.jpg,a dog\na.jpg,a cat\n")
    assert [r.error for r in read(tmp_path)] == [None, None]


def test_addresses_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "Train_GCC.tsv"
    path.write_text('a "great" dog\thttp://e.org/a?b=c\n"quoted ""all"""\thttps://e.org/2.jpg\n')
    records = read(path)
    assert [r.caption for r in records] == ['a "great" dog', 'quoted "all"']
    assert [r.image_uri for r in records] == ["http://e.org/a?b=c", "https://e.org/2.jpg"]


def test_one_row_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b'image,caption\na.jpg,"two\nlines"\nb.jpg,"never ends\nc.jpg,a cat\n'
        b"d.jpg,caf\xe9\n\ne.jpg\nf.jpg,a dog\n"
    )
    records = read(path)
    assert pairs([r for r in records if not r.error]) == [
        ("a.jpg", "two\nlines"),
        ("c.jpg", "a cat"),
        ("f.jpg", "a dog"),
    ]
    assert [r.error and r.error[1] for r in records if r.error] == [
        "row at byte 32: a quote in it does not end",
        "not UTF-8: byte 0xe9 at character 3",
        "there is no caption",
    ]
    path.write_text("image,caption\n" + "a,b,c\n" + "image.jpg,x\n")
    assert read(path)[0].caption == "b,c"  # the caption is the last field: nobody quoted it
    path.write_text("caption,image\nx,a.jpg,c\ny,b.jpg\n")
    assert [r.error and r.error[1] for r in read(path)] == [
        "row at byte 14 has 3 fields; the header has 2",
        None,
    ]


def test_a_cell_may_hold_a_list_in_json(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('filename,raw\na.jpg,"[""a dog"", ""a cat""]"\nb.jpg,[sic]\n')
    assert pairs(read(path)) == [("a.jpg", "a dog"), ("a.jpg", "a cat"), ("b.jpg", "[sic]")]
    assert pairs(read(path, captions="first"))[0] == ("a.jpg", "a dog")


ENTRIES = [
    {"image": "a.jpg", "caption": ["a dog", "a cat é😀"], "image_id": "x_1"},
    {"image": {"path": "b.jpg", "bytes": None}, "caption": {"raw": "a hat"}},
    {"image": ["c.jpg"], "caption": None},
    7,
    {"image": "d.jpg", "caption": "kids"},
]


@pytest.mark.parametrize("wrap", ["{}", '\ufeff{{"info": {{"a": [1]}}, "images": {}}}', " {}\n"])
def test_json_arrays(tmp_path: Path, wrap: str) -> None:
    images(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    text = wrap.format(json.dumps(ENTRIES, ensure_ascii=False, indent=1))
    (tmp_path / "train.json").write_text(text)
    assert open_corpus(str(tmp_path)).format == "json"
    records = read(tmp_path)
    assert pairs([r for r in records if not r.error]) == [
        ("a.jpg", "a dog"),
        ("a.jpg", "a cat é😀"),
        ("b.jpg", "a hat"),
        ("d.jpg", "kids"),
    ]
    reasons = [r.error[1] for r in records if r.error]
    assert reasons[0] == "there is no caption"
    assert reasons[1].endswith("must be an object, got int")
    (tmp_path / "train.json").write_text(text[: len(text) * 2 // 3])
    assert "not JSON behind byte" in (read(tmp_path)[-1].error or ("", ""))[1]


def test_karpathys_splits(tmp_path: Path) -> None:
    entry = {"filepath": "val2014", "filename": "a.jpg", "split": "test"}
    entry["sentences"] = [{"raw": "A dog.", "tokens": ["a"]}, {"raw": "A cat.", "tokens": ["a"]}]
    path = tmp_path / "dataset_coco.json"
    path.write_text(json.dumps({"images": [entry], "dataset": "coco"}))
    records = read(path)
    assert [r.caption for r in records] == ["A dog.", "A cat."]
    assert records[0].image_uri == f"{tmp_path}/val2014/a.jpg"


@pytest.mark.parametrize("kind", ["csv", "json", "csv.gz", "json.gz"])
def test_units_of_any_size_hold_the_same_records(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "SPLIT_MIN_BYTES", 1)
    rows = [(f"{n}.jpg", f'a "dog", é {n}\nnext') for n in range(40)]
    if kind.startswith("csv"):
        cells = (name + ',"' + text.replace('"', '""') + '"\n' for name, text in rows)
        text = "image,caption\n" + "".join(cells)
    else:
        entries = [{"image": name, "caption": text} for name, text in rows]
        text = json.dumps({"data": entries}, ensure_ascii=False)
    data = text.encode()
    path = tmp_path / f"t.{kind}"
    path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    corpus = open_corpus(str(path))
    whole = read(path)
    assert [r.caption for r in whole] == [text for _, text in rows]
    for size in (1, 7):
        units = corpus.units(size)
        assert len(units) == (1 if kind.endswith("gz") else -(-40 // size))
        assert [r for unit in units for r in corpus.read(unit)] == whole


def test_what_is_no_table_is_explained(tmp_path: Path) -> None:
    images(tmp_path, "a.jpg")
    (tmp_path / "notes.csv").write_text("name,size\nx,3\n")
    assert "not read: notes.csv" in open_corpus(str(tmp_path)).explanation
    with pytest.raises(ConfigError, match="its first line is not a row of a table with images"):
        open_corpus(str(tmp_path / "notes.csv"), CorpusOptions(format="csv"))
    (tmp_path / "w.csv").write_bytes("image,caption\na.jpg,x\n".encode("utf-16"))
    with pytest.raises(ConfigError, match="UTF-16; save it as UTF-8"):
        open_corpus(str(tmp_path / "w.csv"))
    (tmp_path / "a.json").write_text("[]")
    (tmp_path / "b.csv").write_text("image,caption\na.jpg,x\n")
    (tmp_path / "c.json").write_text('[{"image": "a.jpg", "caption": "x"}]')
    with pytest.raises(ConfigError, match="tables of two kinds: choose one with --format csv"):
        open_corpus(str(tmp_path))
    assert len(read(tmp_path, format="csv", caption_field="caption")) >= 1


def test_base64_in_rows_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"image": "/9j/" + "A" * 100, "caption": "x"}) + "\n")
    (record,) = read(path)
    assert record.error is not None
    assert "an image as base64 text" in record.error[1]
