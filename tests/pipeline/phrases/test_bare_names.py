"""Names without a sentence are phrases, also where the parser takes them for verbs."""

from __future__ import annotations

import pytest

from schemas.records import PhraseStatus
from tests.pipeline.phrases.test_extract import _shared, asked


@pytest.mark.parametrize("name", ["pear", "Drill", "FORK", "saw", "fire hydrant", "Stop sign"])
@pytest.mark.parametrize("around", ["{}", "1. {}", "2) {}", "{}.", "- {}", "• {}", "({})"])
def test_a_name_alone(name: str, around: str) -> None:
    assert asked(_shared(), around.format(name)) == [name]


@pytest.mark.parametrize(
    "caption, phrases",
    [
        ("1. pear 2. drill 3. peach", ["pear", "drill", "peach"]),
        ("1) fork\n2) screw", ["fork", "screw"]),
        ("plum, orange, saw, teddy bear", ["plum", "orange", "saw", "teddy bear"]),
        ("Watch; fly; train", ["Watch", "fly", "train"]),
        ("fork/towel/lock", ["fork", "towel", "lock"]),
        ("a black/white horse", ["a black/white horse"]),
        ("fork+towel", ["fork", "towel"]),
        ("R&B singer in an AT&T store", ["R&B singer", "an AT&T store"]),
        ("woman holding kite", ["woman", "kite"]),
        ("Man Holding Kite", ["Man", "Kite"]),
        # said to the reader, or of how things are
        ("Enjoy", []),
        ("smiling", []),
        ("sad, lonely, tired", []),
        ("a horse, etc.", ["a horse"]),
        ("a horse - see data/list/README.txt", ["a horse"]),
        ("Do not enter", []),
        ("Home, About", ["Home"]),
        ("Close", []),
        ("Eat, pray", []),
        ("null", []),
        # said of one thing, or one name
        ("a grey&black horse", ["a grey&black horse"]),
        ("red/yellow/blue kites", ["red/yellow/blue kites"]),
        ("Marks&Spencer shop", ["Marks&Spencer shop"]),
        ("bread&jam", ["bread", "jam"]),
        ("hot/cold/warm milk", ["hot/cold/warm milk"]),
        # nouns that the tagger takes for adjectives
        ("remote", ["remote"]),
        ("sofa, remote, lamp", ["sofa", "remote", "lamp"]),
        ("remote, lamp", ["remote", "lamp"]),
        ("sofa, lamp, remote, cell phone", ["sofa", "lamp", "remote", "cell phone"]),
        ("a remote, sandy island", ["a remote, sandy island"]),
        ("our remote, sandy island", ["our remote, sandy island"]),
        ("a wide, remote, sandy island", ["a wide, remote, sandy island"]),
        ("a hut in remote, icy hills", ["a hut", "remote, icy hills"]),
        # how it is, with and without a noun
        ("Cute goat", ["Cute goat"]),
        ("Isolated blue mug", ["Isolated blue mug"]),
        ("pretty cute", []),
        ("Stay home now", []),
    ],
)
def test_lists_and_what_is_none(caption: str, phrases: list[str]) -> None:
    assert asked(_shared(), caption) == phrases


def test_the_head_is_the_noun() -> None:
    heads = [phrase.head for (phrase,) in _shared().extract(["saw", "fire hydrant", "forks"])]
    assert heads == ["saw", "hydrant", "fork"]


@pytest.mark.parametrize(
    "caption, seen, unseen",
    [
        ("a goat #cute #farm", ["a goat"], ["cute", "farm"]),
        ("a goat at home #weekend", ["a goat", "home"], ["weekend"]),
        ("my #goat on the #beach", ["my #goat", "the #beach"], []),
        ("this #goat", ["this #goat"], []),
        ("his #goat #farm", ["his #goat"], ["farm"]),
        ("IMG_2034.JPG a goat", ["a goat"], ["IMG_2034.JPG"]),
        ("2021-05-03 12:30 PM - a goat", ["a goat"], ["2021-05-03 12:30 PM"]),
        ("a goat at 5 p.m.", ["a goat"], ["5 p.m."]),
        ("a goat | Shutterstock", ["a goat"], ["Shutterstock"]),
        ("a screenshot of a phone", ["a phone"], ["a screenshot"]),
        ("Close-up of a goat", ["a goat"], ["Close-up"]),
        ("$15 boots 30% off", ["boots"], []),
        ("a $100 bill", ["a $100 bill"], []),
        ("two $100 bills", ["two $100 bills"], []),
        ("new #boots", ["new #boots"], []),
        ("a rug, 80x120 cm", ["a rug"], ["80x120 cm"]),
    ],
)
def test_tags_files_times_and_sites_are_counted_but_not_asked(
    caption: str, seen: list[str], unseen: list[str]
) -> None:
    (phrases,) = _shared().extract([caption])
    assert [phrase.text for phrase in phrases if phrase.status is PhraseStatus.OK] == seen
    assert [phrase.text for phrase in phrases if phrase.status is not PhraseStatus.OK] == unseen


@pytest.mark.parametrize(
    "caption, phrases",
    [
        ("a cute goat🐐🐐 with ball⚽️ in park🌳", ["a cute goat", "ball", "park"]),
        ("🐐goat🐄cow", ["goat", "cow"]),
        ("1️⃣ goat 2️⃣ cow", ["goat", "cow"]),
        ("👨\u200d👩\u200d👧 family ❤️", ["family"]),
        ('<img alt="a red tram" src="x.jpg">', ["a red tram"]),
        ('alt="two goats playing" title=x', ["two goats"]),
        ("<b>goat</b> <PERSON>", ["goat", "PERSON"]),
        ("a goat\x00a cow", ["a goat", "a cow"]),
        ("Cute goat :) chasing a cow :D", ["Cute goat", "a cow"]),
        ("======= goat ======= cow", ["goat", "cow"]),
        ("my goat 🐐 and my cow 🐄", ["my goat", "my cow"]),
        ("🏴\U000e0067\U000e0062\U000e007f bus by a house", ["bus", "a house"]),
        ('<button class="x">goat</button> <cite>cow</cite>', ["goat", "cow"]),
        ('<svg width="3"><g x=1></g></svg> a goat <o:p>cow</o:p>', ["a goat", "cow"]),
        ("<A HREF=goats.html>goat</A>", ["goat"]),
        ('<img src="my photo.jpg" alt="a red tram">', ["a red tram"]),
        ("<start> a goat <unk> </PERSON> <end>", ["a goat"]),
    ],
)
def test_pictures_tags_of_html_and_control_characters_part_names(
    caption: str, phrases: list[str]
) -> None:
    assert asked(_shared(), caption) == phrases
