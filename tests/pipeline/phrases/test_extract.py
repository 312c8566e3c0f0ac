"""Captions to phrases with the parser that is pinned: spans are exact, nothing is invented."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.phrases.extract import PhraseExtractor, PhraseOptions
from schemas.errors import ConfigError, MissingDependency
from schemas.records import PhraseStatus


@pytest.fixture(scope="module")
def extractor() -> PhraseExtractor:
    return PhraseExtractor()


def asked(extractor: PhraseExtractor, caption: str) -> list[str]:
    (phrases,) = extractor.extract([caption])
    return [phrase.text for phrase in phrases if phrase.status is PhraseStatus.OK]


@pytest.mark.parametrize(
    "caption, phrases",
    [
        ("", []),
        ("hello there!", []),
        ("a dog", ["a dog"]),
        ("A man in a red shirt holds a dog", ["A man", "a red shirt", "a dog"]),
        ("two small dogs next to the ice cream", ["two small dogs", "the ice cream"]),
        ("a group of people on a bench", ["a group of people", "a bench"]),
        ("He sees it in the afternoon", []),
        ("a photo of a cat", ["a cat"]),
        ("a café with a jalapeño", ["a café", "a jalapeño"]),
        ('a "dog" and a "red car"', ["dog", "red car"]),
        ("an old so-called “boat”, and the man's 'hat'", ["boat", "hat"]),
        ('a "  dog runs', ["dog"]),
        ('a "- dog', ["dog"]),
        ('a "very" big dog', ['a "very" big dog']),
        ("a 12\" pizza on the dogs' table", ['a 12" pizza', "the dogs' table"]),
        ("a dog 🐶 and a cat", None),
        # A capital sigma that ends a word has another small letter than one inside.
        ("A Poster Of ΟΔΥΣΣΕΥΣ And A Dog", ["A Poster", "ΟΔΥΣΣΕΥΣ", "A Dog"]),
        ("THE ΛΟΓΟΣ, İΚΑΡΟΣ AND ΜΥΘΟΣ SIGNS", None),
        ("  a dog   and\n a cat ", None),
    ],
)
def test_phrases(extractor: PhraseExtractor, caption: str, phrases: list[str] | None) -> None:
    (found,) = extractor.extract([caption])
    for phrase in found:
        assert caption[phrase.start : phrase.end] == phrase.text
        assert phrase.text == phrase.text.strip()
    if phrases is not None:
        assert asked(extractor, caption) == phrases


def test_heads_are_lemmas(extractor: PhraseExtractor) -> None:
    ((phrase,),) = extractor.extract(["two small dogs"])
    assert phrase.head == "dog"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_gives_exact_spans(caption: str) -> None:
    (phrases,) = _shared().extract([caption])
    spans = [(phrase.start, phrase.end) for phrase in phrases]
    assert spans == sorted(spans)
    assert all(caption[start:end] == p.text for (start, end), p in zip(spans, phrases, strict=True))


_EXTRACTORS: list[PhraseExtractor] = []


def _shared() -> PhraseExtractor:
    if not _EXTRACTORS:
        _EXTRACTORS.append(PhraseExtractor())
    return _EXTRACTORS[0]


def test_batches_change_nothing(extractor: PhraseExtractor) -> None:
    captions = ["a dog", "", "two cats on the mat", "a red car"]
    assert extractor.extract(captions) == [extractor.extract([text])[0] for text in captions]


def test_options() -> None:
    plain = PhraseExtractor(PhraseOptions(strip_determiners=True, stop_lists=()))
    assert asked(plain, "a photo of the dog") == ["photo", "dog"]
    assert plain.fingerprint() != _shared().fingerprint()
    with pytest.raises(ConfigError, match=r"stop_lists: unknown \['verbs'\]; allowed: "):
        PhraseOptions(stop_lists=("verbs",))
    with pytest.raises(MissingDependency, match="no_such_model"):
        PhraseExtractor(PhraseOptions(model="no_such_model"))
