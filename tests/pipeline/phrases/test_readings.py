"""Named entities and referring expressions of phrases, by the real parser."""

from __future__ import annotations

import pytest

from pipeline.phrases.extract import PhraseExtractor
from pipeline.phrases.readings import ENTITIES, PhraseReader, Reading


@pytest.fixture(scope="module")
def reader() -> PhraseReader:
    return PhraseReader()


def read(reader: PhraseReader, caption: str) -> dict[str, tuple[str, str]]:
    """Phrase -> class of entity, text of its expression."""
    phrases = PhraseExtractor().extract([caption])[0]
    found = reader.read([caption], [[(p.start, p.end) for p in phrases]])[0]
    return {
        p.text: (r.entity, caption[slice(*r.expression)] if r.expression else "")
        for p, r in zip(phrases, found, strict=True)
    }


def test_expressions_are_the_subtree_and_the_widest_stays(reader: PhraseReader) -> None:
    found = read(reader, "A dog in a field of flowers.")
    assert found["A dog"] == ("", "A dog in a field of flowers")
    # "a field of flowers" lies in it, and is dropped as GRIT drops it.
    assert found["a field"] == ("", "")
    assert found["flowers"] == ("", "")


def test_chunks_with_conjuncts_are_not_expanded(reader: PhraseReader) -> None:
    found = read(reader, "a cat and a dog with a red collar")
    assert found["a cat"] == ("", "")


def test_named_entities(reader: PhraseReader) -> None:
    found = read(reader, "Barack Obama speaks beside a flag in Paris")
    assert found["Barack Obama"][0] == "PERSON"
    assert found["Paris"][0] == "GPE"
    assert found["a flag"][0] == ""
    assert {one[0] for one in found.values()} <= {"", *ENTITIES}


@pytest.mark.parametrize(
    "caption, spans",
    [
        ("", []),
        ("a dog", []),
        ("a dog", [(0, 5)]),  # no more than the phrase
        ("xdog", [(1, 4)]),  # cut inside of a token
        ("\U0001f415 \n\n  a dog.", [(6, 11)]),
        ("a dog. " * 3000, [(20_000, 20_005)]),  # beyond what is read
    ],
)
def test_what_cannot_be_read_says_nothing(
    reader: PhraseReader, caption: str, spans: list[tuple[int, int]]
) -> None:
    assert reader.read([caption], [spans]) == [[Reading()] * len(spans)]
