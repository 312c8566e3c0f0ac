"""Tables as other programs write them: each row is read, or is a row with its reason."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pipeline.corpus import corpus as corpus_module
from pipeline.corpus.open import open_corpus
from pipeline.corpus.rows import delimited as delimited_module
from schemas.errors import ConfigError
from tests.pipeline.corpus.rows.test_tables import images, pairs, read

TWO = [("a.jpg", "a dog"), ("b.jpg", "a cat")]


@pytest.mark.parametrize(
    "text",
    [
        "Image,Caption\na.jpg,a dog\nb.jpg,a cat\n",
        ",Image Name,CAPTION\n0,a.jpg,a dog\n1,b.jpg,a cat\n",
        "sep=;\nimage;caption\na.jpg;a dog\nb.jpg;a cat\n",
        "\ufeffSEP=,\r\nimage,caption\r\na.jpg,a dog\r\nb.jpg,a cat\r\n",
        "\n \nimage,caption\na.jpg,a dog\nb.jpg,a cat\n",
        "\na.jpg,a dog\nb.jpg,a cat\n",
    ],
)
def test_headers_of_other_programs(tmp_path: Path, text: str) -> None:
    images(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "t.csv").write_text(text)
    assert pairs(read(tmp_path)) == TWO


def test_names_that_only_the_user_knows(tmp_path: Path) -> None:
    images(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "t.csv").write_text("pic,says\na.jpg,a dog\nb.jpg,a cat\n")
    assert "not read: t.csv (its rows have pic, says)" in open_corpus(str(tmp_path)).explanation
    assert pairs(read(tmp_path, image_field="pic", caption_field="says")) == TWO
    with pytest.raises(ConfigError, match=r"no image among .*; the rows have pic, says"):
        open_corpus(str(tmp_path / "t.csv"))


def test_a_field_between_tabs_over_several_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "SPLIT_MIN_BYTES", 1)
    path = tmp_path / "t.tsv"
    path.write_text(
        'caption\timage\n"two\n""lines"""\ta.jpg\n"hello the dog\tb.jpg\n'
        'a 5" pipe\tc.jpg\n"said\tit"\td.jpg\nx\ty\tz\n"never ends\te.jpg\n'
    )
    whole = read(path)
    assert pairs([r for r in whole if not r.error]) == [
        ("a.jpg", 'two\n"lines"'),
        ("b.jpg", '"hello the dog'),
        ("c.jpg", 'a 5" pipe'),
        ("d.jpg", "said\tit"),
        ("e.jpg", '"never ends'),
    ]
    assert [r.error[1] for r in whole if r.error] == [
        "row at byte 89 has 3 fields; the header has 2"
    ]
    corpus = open_corpus(str(path))
    assert [r for unit in corpus.units(1) for r in corpus.read(unit)] == whole


def test_a_carriage_return_alone_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"image,caption\na.jpg,a dog\nc.jpg,a\rhat\nb.jpg,a cat\n")
    records = read(path)
    assert pairs([r for r in records if not r.error]) == TWO
    assert [r.error[1] for r in records if r.error] == [
        "row at byte 26: a carriage return stands in it without a line feed"
    ]
    path.write_bytes(b"image,caption\ra.jpg,a dog\r")
    with pytest.raises(ConfigError, match=r"first line cannot be read: .*; end lines with a line"):
        open_corpus(str(path))


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "the file is empty"),
        ("image,caption,caption\na.jpg,x,y\n", "its header has 'caption' more than once"),
        ("image,caption\n", "holds no row that is an object with fields$"),
    ],
)
def test_what_holds_no_rows_says_why(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        open_corpus(str(tmp_path / "t.csv"))


def test_a_list_as_python_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('filename,raw\na.jpg,"[\'a dog\', ""it\'s""]"\nb.jpg,"[\'open"\n')
    assert pairs(read(path)) == [("a.jpg", "a dog"), ("a.jpg", "it's"), ("b.jpg", "['open")]


@pytest.mark.parametrize(
    "text", ["[{}}, {}]", '{"a.jpg": "x"], "b.jpg": "y"}', '{"a.jpg": "x" "b.jpg": 1}']
)
def test_a_wrong_bracket_ends_no_table_in_silence(tmp_path: Path, text: str) -> None:
    row = '{"image": "a.jpg", "caption": "x"}'
    (tmp_path / "t.json").write_text(text.replace("{}", row))
    *good, last = read(tmp_path)
    assert pairs(good) == [("a.jpg", "x")]
    assert "is not followed by ," in (last.error or ("", ""))[1]


def test_captions_by_the_name_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "SPLIT_MIN_BYTES", 1)
    images(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    table = {"a.jpg": ["a dog é", "it"], "b.jpg": "a cat", "c.jpg": {"text": "no", "caption": "ja"}}
    (tmp_path / "captions.json").write_text(json.dumps(table, ensure_ascii=False, indent=1))
    corpus = open_corpus(str(tmp_path))
    assert corpus.format == "json"
    whole = read(tmp_path)
    assert pairs(whole) == [*(("a.jpg", c) for c in table["a.jpg"]), TWO[1], ("c.jpg", "ja")]
    assert [r for unit in corpus.units(1) for r in corpus.read(unit)] == whole


@pytest.mark.parametrize("separator", [",", "\t", "|", ";"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_row_that_is_too_long_is_said_and_the_next_is_read(
    separator: str, quote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited_module, "MAX_ROW_BYTES", 100)
    rows = ["image,caption", "1.png,a dog", f"2.png,{quote}{'a' * 300}{quote}", "3.png,a cat"]
    text = "\n".join(rows).replace(",", separator)
    found = list(delimited_module.delimited(io.BytesIO(text.encode()), 0, None))
    assert [entry.problem for entry in found] == ["", "row at byte 26 is longer than 100 bytes", ""]
    assert found[2].row == {"image": "3.png", "caption": "a cat"}
