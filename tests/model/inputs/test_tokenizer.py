from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from model.inputs.tokenizer import SHIPPED_VOCAB, GlipTokenizer, default_tokenizer
from schemas.errors import ConfigError, MissingDependency
from tests.model.unit_tables import text_table


def test_shipped_vocabulary_is_bert_base_uncased() -> None:
    data = SHIPPED_VOCAB.read_bytes()
    assert hashlib.md5(data, usedforsecurity=False).hexdigest() == (
        "64800d5d8528ce344256daf115d4965e"
    )
    assert hashlib.sha256(data).hexdigest() == text_table()["vocab_sha256"]
    assert default_tokenizer().vocab_size == 30522
    assert (SHIPPED_VOCAB.parent / "LICENSE").read_text().lstrip().startswith("Apache License")


def test_empty_text_is_two_special_pieces() -> None:
    text = default_tokenizer().tokenize("")
    assert text.ids == (101, 102)
    assert text.span_to_tokens((0, 0)) == ()


def test_ids_equal_the_reference() -> None:
    tokenizer = default_tokenizer()
    for row in text_table()["detection"]:
        assert list(tokenizer.truncated_ids(row["caption"])) == row["input_ids"], row["caption"]
        assert len(tokenizer.tokenize(row["caption"])) == row["n_tokens_untruncated"]
    for row in text_table()["grounding"]:
        assert list(tokenizer.tokenize(row["caption"]).ids) == row["input_ids"]


def test_offsets_are_characters_of_the_original() -> None:
    text = default_tokenizer().tokenize("😀 naïve CAFÉ, 日本")
    words = [text.text[start:end] for start, end in text.offsets[1:-1]]
    assert words == ["😀", "naïve", "CAFÉ", ",", "日", "本"]


def test_decomposed_accents_keep_their_offsets() -> None:
    text = default_tokenizer().tokenize("cafe\u0301 dog")
    start = text.text.index("dog")
    (token,) = text.span_to_tokens((start, start + 3))
    assert text.offsets[token] == (start, start + 3)


def test_batch_is_padded_to_its_longest_text() -> None:
    batch = default_tokenizer().batch(["a dog", "", "a small brown dog"])
    assert batch.input_ids_BT.shape == (3, 6)
    assert batch.attention_mask_BT.sum(1).tolist() == [4, 2, 6]
    assert batch.input_ids_BT[1].tolist() == [101, 102, 0, 0, 0, 0]


def test_long_text_is_cut_before_its_separator() -> None:
    ids = default_tokenizer().truncated_ids("dog " * 5000)
    assert len(ids) == 256
    assert ids[-1] == 102


def test_missing_vocabulary_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="glipforge convert"):
        GlipTokenizer(tmp_path / "vocab.txt")


def test_incomplete_vocabulary_names_what_is_absent(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\ndog\n")
    with pytest.raises(ConfigError, match=r"lacks \[CLS\], \[SEP\]"):
        GlipTokenizer(tmp_path / "vocab.txt")


def test_saved_vocabulary_is_the_same(tmp_path: Path) -> None:
    default_tokenizer().save(tmp_path)
    copy = GlipTokenizer(tmp_path / "vocab.txt")
    assert copy.fingerprint == default_tokenizer().fingerprint
