from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.evaluation.synonyms import BUILT_IN, read_synonyms
from schemas.errors import ConfigError


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.json", '{"Person": ["Woman", " man"]}'),
        ("a.yaml", "person: [woman, man]"),
        ("two.yaml", "Person: [woman]\nperson: [man]"),
    ],
)
def test_a_map_file(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8-sig")
    assert read_synonyms(str(path)) == {"person": {"woman", "man"}}


@pytest.mark.parametrize(
    "text, message",
    [
        ("[1]", r"must be a map such as .*got \[1\]"),
        ("person: woman", r"'person' must have a list of words, got 'woman'"),
        ("person: [1]", r"'person' must have a list of words"),
        ("{", r"cannot be read"),
    ],
)
def test_a_broken_map_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_synonyms(str(path))
    with pytest.raises(ConfigError, match=r"'nowhere' cannot be read"):
        read_synonyms("nowhere")


def test_no_word_means_two_categories() -> None:
    words = [word for own in BUILT_IN.values() for word in own]
    assert len(words) == len(set(words))
    assert not set(words) & set(BUILT_IN)
