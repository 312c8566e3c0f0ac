"""Long words cost what their length says, and the words beside them are read as ever."""

from __future__ import annotations

import pytest

from pipeline.phrases.tokens import tokens_of
from schemas.records import PhraseStatus
from tests.pipeline.phrases.test_extract import _shared, asked


@pytest.mark.parametrize("sign", ["=", "$", "#/", "a=", "(b", "é\u0301", "x,yz,"])
def test_a_long_word_is_cut_and_nothing_of_it_is_lost(sign: str) -> None:
    text = f"a dog {sign * 300} a cat"
    doc = tokens_of(_shared()._nlp, text)
    assert doc.text == text
    assert max(map(len, doc)) <= 128
    assert [token.text for token in doc[:2]] == ["a", "dog"]


def test_a_long_list_without_spaces_keeps_its_names() -> None:
    names = ["mug", "goat", "fork", "lamp", "sofa"] * 8
    assert asked(_shared(), ",".join(names)) == names


def test_a_long_address_is_one_word() -> None:
    address = f"https://example.org/{'a-b?c=d/' * 100}"
    (phrases,) = _shared().extract([f"a goat {address}"])
    assert [phrase.text for phrase in phrases if phrase.status is PhraseStatus.OK] == ["a goat"]
    assert [token.text for token in tokens_of(_shared()._nlp, address)] == [address]


def test_quotes_and_brackets_without_end() -> None:
    for text in ("a [dog (cat {" * 60, "a) dog] cat} " * 60, "\"'` dog " * 150, "(dog" * 300):
        (phrases,) = _shared().extract([text])
        assert all(text[phrase.start : phrase.end] == phrase.text for phrase in phrases)
