"""A class list as the field writes it: what is no name is never asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.phrases.class_list import ClassList
from schemas.errors import ConfigError

PERSON = ("person", ("man", "woman"), ())
HELMET = ("helmet", ("helmet",), ("cap",))
COCO = {"images": [{"id": 1}], "categories": [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}]}


@pytest.mark.parametrize(
    "name, text",
    [
        ("instances.json", json.dumps(COCO)),
        ("instances.json", json.dumps(COCO, indent=1)),
        ("no_ending", json.dumps(COCO)),
        ("list.json", '["cat", "dog"]'),
        ("lvis_categories.json", '[{"name": "cat", "synset": "cat.n.01"}, {"name": "dog"}]'),
        ("label_map.json", '{"1": "dog", "0": "cat"}'),
        ("label2id.json", '{"dog": 1, "cat": 0}'),
        ("data.yaml", "path: .\ntrain: images\nnames:\n  0: cat\n  1: dog\n"),
        ("data.yaml", "nc: 2\nnames: [cat, 'dog']\n"),
        ("list.yml", "- cat\n- dog # pet\n"),
        ("plain.yaml", "cat\ndog\n"),
        ("names.csv", "id,name\r\n0,cat\r\n1,dog\r\n"),
        ("names.csv", "cat\ndog\n"),
        ("class-descriptions.csv", "/m/01yrx,cat\n/m/0bt9lr,dog\n"),
        ("names.tsv", "1\tcat\n2\tdog\n"),
        (
            "map.pbtxt",
            "item {\n id: 1\n name: '/m/01'\n display_name: \"cat\"\n}\nitem {name:'dog'}",
        ),
        ("list.json", '{"classes": ["cat", "dog"]}'),
        ("names.csv", "cat,\ndog,,\n"),
        ("names.csv", "id;name\n0;cat\n1;dog\n"),
        ("oidv7-class-descriptions.csv", "LabelName,DisplayName\n/m/01yrx,cat\n/m/0bt9lr,dog\n"),
        ("map.txt", "0: cat\n1: dog\n"),
        ("map.txt", "1. cat\n2. dog\n"),
        ("map.txt", "1,cat\n7,dog\n"),
        ("one.txt", "cat, dog\n"),
        ("one.txt", "# pets\ncat. dog.\n"),
        ("one.txt", "cat; dog"),
        ("lines.txt", "* cat;\n\n* dog;\n"),
    ],
)
def test_every_form_of_the_same_list(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert ClassList.parse(f"@{tmp_path / name}").names == ("cat", "dog")


@pytest.mark.parametrize(
    "name, text",
    [
        ("words.json", '{"person": ["man", "woman"], "helmet": ["-cap"]}'),
        ("words.yaml", "person: man, woman\nhelmet: -cap\n"),
        ("words.yaml", "- person: [man, woman]\n- helmet: -cap\n"),
        ("words.csv", "person: man, woman\nhelmet: -cap\n"),
        ("words.txt", "person: man, woman; helmet: -cap"),
        ("words.txt", "person: man, woman; helmet: \u2013cap\n# \n"),
        ("words.json", '["person: man, woman", "helmet: -cap"]'),
    ],
)
def test_wordings_and_competitors(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = ClassList.parse(f"@{tmp_path / name}").entries
    assert [(one.name, one.wordings, one.competitors) for one in found] == [PERSON, HELMET]


def test_numbers_that_belong_to_names_stay(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("2 wheeler\n3 wheeler\n")
    assert ClassList.parse(f"@{file}").names == ("2 wheeler", "3 wheeler")
    file.write_text("7: seven\nred, round\n")
    assert ClassList.parse(f"@{file}").names == ("7", "red, round")
    (tmp_path / "coco.json").write_text('{"categories": [{"name": "ratio 16:9"}, {"name": "no"}]}')
    assert ClassList.parse(f"@{tmp_path / 'coco.json'}").names == ("ratio 16:9", "no")
    (tmp_path / "one.json").write_text('["feb. calendar, blue"]')
    assert ClassList.parse(f"@{tmp_path / 'one.json'}").names == ("feb. calendar, blue",)
    (tmp_path / "y.yaml").write_text("names: [no, 1e3, 007]")
    assert ClassList.parse(f"@{tmp_path / 'y.yaml'}").names == ("no", "1e3", "007")


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.json", '{"images": [{"id": 1}]}', "'images' must have its wordings"),
        ("a.json", '{"categories": [1.5]}', "a class must be a name or have one, got 1.5"),
        ("a.json", '["cat", ', "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", "7", "holds 7; a file of class names has a class a line"),
        ("a.txt", "{'cat'}", "is not JSON"),
        ("a.json", '["cat", ' + "9" * 5000 + "]", "is not JSON"),
        ("a.yaml", "names: [cat", "is not YAML"),
        ("a.txt", " \n<!doctype html><p>cat</p>", "is HTML or XML"),
        ("a.xml", "<annotation><name>cat</name></annotation>", "is HTML or XML"),
        ("a.csv", "1,2,cat\n3,4,dog\n", "which column has the names\\? Head it `name`"),
        ("a.csv", "x" * 200_000, "is not CSV"),
        ("a.pbtxt", "item { id: 1 }", "items without a name"),
        ("a.json", '["cat", ""]', "'' is a class without a name"),
    ],
)
def test_what_is_no_class_list_is_refused(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"names: .*{message}"):
        ClassList.parse(f"@{tmp_path / name}")


def test_a_file_that_is_no_list_is_not_read_into_every_row(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("a line\n" * (3 * 2**20))
    with pytest.raises(
        ConfigError, match="has 21 million characters, a list of classes at most 16"
    ):
        ClassList.parse(f"@{tmp_path / 'log.txt'}")


def test_odd_files_are_read_in_linear_time(tmp_path: Path) -> None:
    file = tmp_path / "odd.txt"
    for text, number in [
        ("a " + " " * 100_000 + "b\ncat", 2),
        (", ".join(f"thing {place}" for place in range(20_000)), 20_000),
        ("big (a, b), " * 2_000 + "cat", 2),
        ("cat. " * 5_000 + "dog", 2),
    ]:
        file.write_text(text)
        assert len(ClassList.parse(f"@{file}").names) == number
    (tmp_path / "a.pbtxt").write_text("item {" * 20_000)
    with pytest.raises(ConfigError, match="items without a name"):
        ClassList.parse(f"@{tmp_path / 'a.pbtxt'}")
