from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.phrases.class_list import ClassList, list_caption, planned_classes
from schemas.errors import ConfigError


@pytest.mark.parametrize(
    "text, names",
    [
        ("cat", ("cat",)),
        (" cat ,dog,, fire  hydrant ,", ("cat", "dog", "fire hydrant")),
        ("cat, cat", ("cat",)),
        ("bow (weapon, old), tie", ("bow (weapon, old)", "tie")),
        ("person: man, woman; cat", ("person", "cat")),
        ("St. Bernard, C++, N/A", ("St. Bernard", "C++", "N/A")),
        ("狗, café", ("狗", "café")),
    ],
)
def test_names_in_the_order_given(text: str, names: tuple[str, ...]) -> None:
    classes = ClassList.parse(text)
    assert classes.names == names
    assert [p.text for p in classes.phrases] == list(names)
    for phrase in classes.phrases:
        assert classes.caption[phrase.start : phrase.end] == phrase.text
    assert ClassList.from_plain(classes.to_plain()) == classes


def test_wordings_and_what_it_must_not_be() -> None:
    person, helmet, bow = ClassList.parse(
        "person: person, man , 'woman'; helmet: -cap,\u2212hat; bow_(weapon):"
    ).entries
    assert (person.wordings, person.competitors) == (("person", "man", "woman"), ())
    assert (helmet.wordings, helmet.competitors) == (("helmet",), ("cap", "hat"))
    assert (bow.name, bow.wordings) == ("bow_(weapon)", ("bow",))


def test_a_file_has_a_class_a_line(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("\ufeffdog\r\n# remark\n\nperson: man, woman  # people\nC#\n", encoding="utf-8")
    assert ClassList.parse(f"@{file}").names == ("dog", "person", "C#")
    with pytest.raises(ConfigError, match="names: cannot read the file .*none.txt"):
        ClassList.parse(f"@{tmp_path / 'none.txt'}")


@pytest.mark.parametrize(
    "lines, names",
    [
        (b"- dog\n- fire hydrant\n", ("dog", "fire hydrant")),
        (b'"dog",\r\n"cat",\r\n', ("dog", "cat")),
        (b"dog,\rcat;\r\r", ("dog", "cat")),
        (b"'dog'\nman's hat\n5\" plate\n", ("dog", "man's hat", '5" plate')),
        ("狗\nсобака".encode(), ("狗", "собака")),
        ("\n".join(f"thing {i}" for i in range(1203)).encode(), None),
    ],
)
def test_a_file_as_other_programs_write_it(lines: bytes, names, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(lines)
    found = ClassList.parse(f"@{tmp_path / 'classes.txt'}").names
    assert found == names if names else len(found) == 1203


@pytest.mark.parametrize(
    "text, message",
    [
        ("dog, -cap", "'-cap' is a word that a class must not be; name the class before it"),
        ("d\x00g", r"'d\\x00g' has a control character"),
        ("", "no name in it, got ''; for example"),
        (" , ", "no name in it"),
        ("cat: a; Cat: b", "the class 'Cat' stands twice"),
        (": a, b", "no name before the colon"),
        ("a: b, c: d", "has two colons; put semicolons between classes"),
        ("classes.txt", "'classes.txt' is the name of a file; @classes.txt reads its classes"),
        ("cap: cap, \u2013Cap", "'Cap' is a wording of 'cap'"),
        ("cap: cap, -Cap", "'Cap' is a wording of 'cap' and a word that it must not be"),
    ],
)
def test_what_cannot_be_asked_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClassList.parse(text)


def test_a_plan_knows_its_classes() -> None:
    classes = ClassList.parse("cat; dog: puppy, -wolf")
    assert planned_classes({"phrases": classes.fingerprint()}) == classes
    assert planned_classes({"phrases": {"extractor": "spacy-noun-chunks"}}) is None
    assert list_caption([]) == (".", ())


@pytest.mark.parametrize(
    "text, names",
    [
        ("dog; cat", ("dog", "cat")),
        ("dog; cat: tabby, -dog", ("dog", "cat")),
        ("dog\ncat\r\n\nfire hydrant\n", ("dog", "cat", "fire hydrant")),
        ("dog, cat\nbird", ("dog", "cat", "bird")),
        ("person: man, woman\nhelmet: -cap", ("person", "helmet")),
        ("a cat. a dog. fire hydrant.", ("a cat", "a dog", "fire hydrant")),
        ("cat . dog . fire hydrant .", ("cat", "dog", "fire hydrant")),
        ("cat . St. Bernard", ("cat", "St. Bernard")),
        ("cat . dog .\nfire hydrant .", ("cat", "dog", "fire hydrant")),
        ("T.V.", ("T.V.",)),
        ("u.s. flag.", ("u.s. flag.",)),
        (". ".join(["cat", "dog"] * 40), ("cat", "dog")),  # in linear time
        ("clock: clock at 12:30; cat", ("clock", "cat")),
        ("cat. dog", ("cat", "dog")),
        ("Cat. Dog. Fire hydrant", ("Cat", "Dog", "Fire hydrant")),
        ("cat.", ("cat",)),
        ("E.T., U.S.", ("E.T.", "U.S.")),
        ("狗，猫、鸟", ("狗", "猫", "鸟")),
        ("قط، كلب", ("قط", "كلب")),
        ('"cat","hot dog"', ("cat", "hot dog")),
        ("['cat', 'dog']", ("cat", "dog")),
        ("\ufeffcat, cat\u200b, \u200fdog", ("cat", "dog")),
        ("St. Bernard, poodle", ("St. Bernard", "poodle")),
        ("St. Bernard", ("St. Bernard",)),
        ("bow (weapon, long); ball", ("bow (weapon, long)", "ball")),
    ],
)
def test_however_classes_are_parted(text: str, names: tuple[str, ...]) -> None:
    assert ClassList.parse(text).names == names


@pytest.mark.parametrize("text", ["dog, person: man, woman", "dog; cat, bird", "a, b: c; d"])
def test_commas_beside_semicolons_are_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ConfigError, match=r"has a comma; .* put semicolons between all classes"):
        ClassList.parse(text)


@pytest.mark.parametrize("other", ["\u00e9CLAIR", "e\u0301clair"])
def test_one_name_in_two_spellings_stands_twice(other: str) -> None:
    with pytest.raises(ConfigError, match=f"the class '{other}' stands twice"):
        ClassList.parse(f"\u00e9clair, {other}")


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    for encoding in ("utf-16", "latin-1"):
        (tmp_path / "names.txt").write_text("caf\u00e9\n", encoding=encoding)
        with pytest.raises(ConfigError, match="names.txt.*save it as UTF-8"):
            ClassList.parse(f"@{tmp_path / 'names.txt'}")


def test_classes_that_are_asked_for_alike_are_known() -> None:
    classes = ClassList.parse("bow_(weapon); cat; bow_(ribbon); kitten: Cat, kitten, -bow")
    assert classes.asked_alike == (
        ("bow", ("bow_(weapon)", "bow_(ribbon)")),
        ("cat", ("cat", "kitten")),
    )
