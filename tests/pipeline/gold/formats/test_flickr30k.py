from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.gold import load_gold
from pipeline.gold.formats.flickr30k import parse_sentence
from schemas.errors import DataError


@pytest.mark.parametrize(
    "line, caption, phrases",
    [
        ("", "", []),
        ("no phrase here .", "no phrase here .", []),
        ("[/EN#11/people Two kids] fly", "Two kids fly", [((0, 8), "11")]),
        ("A [/EN#2/bodyparts/clothing red hat] .", "A red hat .", [((2, 9), "2")]),
        ("[/EN#0/notvisual It] [/EN#3/x é]", "It é", [((0, 2), "0"), ((3, 4), "3")]),
        ("[/EN#11 Some fireworks] .", "Some fireworks .", [((0, 14), "11")]),
    ],
)
def test_flickr_sentences(line: str, caption: str, phrases: list) -> None:
    assert parse_sentence(line, where="t") == (caption, phrases)


def test_an_open_bracket_is_explained() -> None:
    with pytest.raises(DataError, match=r"1.txt line 2: the bracket at column 3 is not closed"):
        parse_sentence("A [/EN#1/people man", where="1.txt line 2")


def test_flickr30k(tmp_path: Path) -> None:
    folder = tmp_path / "flickr"
    for name in ("Sentences", "Annotations"):
        (folder / name).mkdir(parents=True)
    (folder / "Sentences" / "36.txt").write_text(
        "[/EN#1/people Two kids] fly [/EN#2/other a red kite] over [/EN#3/scene the sea] .\n"
        "[/EN#0/notvisual Fun] with [/EN#4/other wind] and [/EN#5/other joy] .\n"
    )
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>48</ymax></bndbox>"
    (folder / "Annotations" / "36.xml").write_text(
        "<annotation><size><width>64</width><height>48</height><depth>3</depth></size>"
        f"<object><name>1</name>{box.format(10)}</object>"
        f"<object><name>1</name><name>2</name>{box.format(64)}</object>"
        "<object><name>3</name><scene>1</scene><nobndbox>0</nobndbox></object>"
        "<object><name>4</name><scene>0</scene><nobndbox>1</nobndbox></object></annotation>"
    )
    gold = load_gold(str(folder))
    first, second = gold.samples
    assert first.caption == "Two kids fly a red kite over the sea ."
    assert first.boxes == ((0, 0, 10, 48), (0, 0, 64, 48))
    assert first.spans == (((0, 8),), ((0, 8), (13, 23)))
    assert first.image_uri == f"{folder}/flickr30k-images/36.jpg"
    assert second.boxes == ()
    dropped = {key: value for key, value in gold.counts.items() if key.startswith("dropped")}
    assert set(dropped.values()) == {1}
    assert len(dropped) == 4  # scene, not visual, no box, unknown chain
    (folder / "val.txt").write_text("36\n")
    assert len(load_gold(str(folder), split="val.txt").samples) == 2
    (folder / "val.txt").write_text("37\n")
    with pytest.raises(DataError, match=r"37.xml' cannot be read"):
        load_gold(str(folder), split="val.txt")


def test_a_list_of_ids_goes_by_line(tmp_path: Path) -> None:
    """Our own export keeps the blanks of file names, as its readers do."""
    for name in ("Sentences", "Annotations"):
        (tmp_path / name).mkdir()
    (tmp_path / "Sentences" / "a dog 36.txt").write_text("A dog .\n")
    size = "<size><width>64</width><height>48</height></size>"
    (tmp_path / "Annotations" / "a dog 36.xml").write_text(f"<annotation>{size}</annotation>")
    (tmp_path / "val.txt").write_text("a dog 36 \r\n\n")
    for split in ("val", "val.txt"):
        (sample,) = load_gold(str(tmp_path), "flickr30k", split=split).samples
        assert sample.image_uri.endswith("/a dog 36.jpg")
    with pytest.raises(
        DataError, match=r"split 'test' is not a file in .*: a list such as val.txt"
    ):
        load_gold(str(tmp_path), "flickr30k", split="test")
