"""No phrase runs across a line, a stop or a list sign; what only looks like one stays whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.phrases.as_read import AsRead, as_read
from pipeline.phrases.pieces import is_plain, pieces
from tests.pipeline.phrases.test_extract import _shared, asked

NAMES = ("dog", "red car", "traffic light", "person", "dining table", "umbrella")


BORDERS = [". ", ".\n", "\n", "\r\n", "\t", "\u2028", "; ", " | ", "|", " · ", " - ", " — "]
BORDERS += [" / ", "! ", "。", " ... ", "?! ", "<br>", "</li><li>", " > ", " . ", " .", "?", "!"]
BORDERS += ["\\n", "\\r\\n", " &bull; ", "&nbsp;"]


@pytest.mark.parametrize("between", BORDERS)
@pytest.mark.parametrize("spell", [str, str.upper, str.title])
def test_names_are_phrases_of_their_own_whatever_parts_them(between: str, spell) -> None:
    names = [spell(name) for name in NAMES]
    assert asked(_shared(), between.join(names)) == names


@pytest.mark.parametrize(
    "caption, phrases",
    [
        ("a St. Bernard beside the U.S. flag", ["a St. Bernard", "the U.S. flag"]),
        ("Dr. Smith holds a 3.5 inch disk", ["Dr. Smith", "a 3.5 inch disk"]),
        ("a black-and-white dog at 10:30", ["a black-and-white dog"]),
        ("a woman's hat, a boy's t-shirt", ["a woman's hat", "a boy's t-shirt"]),
        ("hot dog.cat.person", ["hot dog", "cat", "person"]),
        ("A CAT.A DOG.A MAN", ["A CAT", "A DOG", "A MAN"]),
        ("Bus… Tram… Bike", ["Bus", "Tram", "Bike"]),
        ("a man in a red\nshirt", ["a man", "shirt"]),
        ("see http://a.org/x.y|z for a dog", ["a dog"]),
        ("1) a dog\n2) a cat", ["a dog", "a cat"]),
        ("a dog &amp; a cat", ["a dog", "a cat"]),
        ("\n.\n", []),
        ("|", []),
    ],
)
def test_what_ends_a_piece_and_what_does_not(caption: str, phrases: list[str]) -> None:
    assert asked(_shared(), caption) == phrases


def test_a_path_is_not_a_written_line_end() -> None:
    assert list(pieces("C:\\news")) == [(0, "C:\\news")]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab .|\n<>/-;。St\u2028"), max_size=40))
def test_pieces_are_parts_of_the_text_in_order(text: str) -> None:
    end = 0
    for offset, piece in pieces(text):
        assert offset >= end
        assert piece == text[offset : offset + len(piece)]
        assert piece.strip()
        assert not re.search(r"[\n。\u2028|]", piece)
        end = offset + len(piece)


_WORDS = (
    "a",
    "dog's",
    "dogs'",
    "red",
    "1",
    "12x30",
    "t-shirt",
    "w",
    "alt",
    "jpg",
    "remote",
    ",",
    ".",
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=8), st.sampled_from(["", " "]))
def test_a_plain_text_is_one_piece_that_is_read_as_it_is(words: list[str], between: str) -> None:
    for text in (between.join(words), " ".join(words).replace(" ,", ",").replace(" .", ".")):
        if is_plain(text):
            assert list(pieces(text)) == [(0, text)]
            assert as_read(text, text) == (AsRead(text=text), text)


def test_most_captions_are_plain() -> None:
    assert is_plain("Two dogs' toys, a t-shirt and the man's 12 hats .")
    for text in ("a  dog", "a dog.cat", "a dog #cute", "1. dog", "remote, dog", "a (dog"):
        assert not is_plain(text)
