"""The parser reads another spelling of a web caption; spans are those of the caption itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.phrases.as_read import as_read
from tests.pipeline.phrases.test_extract import _shared, asked


@pytest.mark.parametrize(
    "caption, phrases",
    [
        # a mark without its other half
        ("a horse” jumps", ["a horse"]),
        ("a horse” a cow", ["a horse", "a cow"]),
        ("the horse says “hello to a cow", ["the horse", "a cow"]),
        ('a woman" and "a man', ["a woman", "a man"]),
        ("a woman) walks", ["a woman"]),
        ("a [green bus", ["green bus"]),
        ("„a green bus“ and a „lorry", ["a green bus", "lorry"]),
        ("a ``lorry'' and a ``tram''", ["lorry", "tram"]),
        ('\\"a lorry\\" in the rain', ["a lorry", "the rain"]),
        ("a girl(left)and a boy(right)", ["a girl", "a boy"]),
        ('an 8" plate and a 2" spoon', ['an 8" plate', 'a 2" spoon']),
        # what is not seen, or stands for a word
        ("a\u200b horse\u200band a cow", ["a\u200b horse", "a cow"]),
        ("\ufeffa horse", ["a horse"]),
        ("a so\u00adfa", ["a so\u00adfa"]),
        ("boy w/ a kite", ["boy", "a kite"]),
        ("selfie w/my cow & horse", ["selfie", "my cow", "horse"]),
        ("a street w/o cars", ["a street", "cars"]),
        ("girl_with_kite", ["girl", "kite"]),
        ("**a horse** and _a cow_", ["a horse", "a cow"]),
        ("a Bugatti™ car® ©", ["a Bugatti™ car"]),
        ("¡a horse! ¿a cow?", ["a horse", "a cow"]),
        ("a horse、a cow，a goat", ["a horse", "a cow", "a goat"]),
        ("the girls’ kites", ["the girls’ kites"]),
        # a face is not an open bracket
        ("my horse :) and a cow :-(", ["my horse", "a cow"]),
        ("a boy (in a red hat :) ) with a goat", ["a boy", "a red hat", "a goat"]),
    ],
)
def test_web_spelling(caption: str, phrases: list[str]) -> None:
    assert asked(_shared(), caption) == phrases


def test_heads_are_words_without_what_was_left_out() -> None:
    ((phrase,),) = _shared().extract(["a so\u00adfa"])
    assert phrase.head == "sofa"


def test_plain_text_and_links_are_read_as_they_are() -> None:
    for text in ("a dog, a cat", "my_dog.jpg", "https://a.org/x_y)", 'a "red" car'):
        read, letters = as_read(text, text.upper())
        assert (read.text, read.places, letters) == (text, None, text.upper())


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab w/o_*\"“”„()[\u200b\u00ad`'’1s，™\\"), max_size=30))
def test_places_lead_back_into_the_text(text: str) -> None:
    read, letters = as_read(text, text.upper())
    assert len(letters) == len(read.text)
    if read.places is None:
        assert read.text == text
        return
    assert len(read.places) == len(read.text)
    assert list(read.places) == sorted(read.places)
    assert all(0 <= place < len(text) for place in read.places)
    for at in range(len(read.text)):
        start, end = read.span(at, len(read.text))
        assert 0 <= start < end <= len(text)
        assert all(at <= cut < len(read.text) for cut in read.cuts(at, len(read.text)))
