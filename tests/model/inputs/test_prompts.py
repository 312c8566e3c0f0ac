from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.inputs.prompts import clean_name, join_names, plan_caption, plan_names
from model.inputs.tokenizer import default_tokenizer
from tests.model.unit_tables import text_table

TOKENIZER = default_tokenizer()


def test_no_names_need_no_prompt() -> None:
    assert plan_names([], TOKENIZER).prompts == ()


def test_names_without_a_token_are_reported() -> None:
    plan = plan_names(["(cloth)", "", "_", "dog", "   ", "cat"], TOKENIZER)
    assert plan.not_seen == (0, 1, 2, 4)
    assert [prompt.text for prompt in plan.prompts] == ["dog. cat"]
    assert plan.prompts[0].targets == (3, 5)


def test_only_parentheses_give_no_prompt_at_all() -> None:
    plan = plan_names(["(a)", "(b)"], TOKENIZER)
    assert plan.prompts == ()
    assert plan.not_seen == (0, 1)


def test_a_name_longer_than_a_prompt_is_reported() -> None:
    plan = plan_names(["dog", "word " * 300, "cat"], TOKENIZER)
    assert plan.not_seen == (1,)
    assert plan.prompts[0].targets == (0, 2)


def test_duplicate_names_keep_their_own_tokens() -> None:
    (prompt,) = plan_names(["dog", "dog"], TOKENIZER).prompts
    assert prompt.tokens == ((1,), (3,))


@pytest.mark.parametrize("name, cleaned", text_table()["clean_name"].items())
def test_clean_name_equals_the_reference(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@pytest.mark.parametrize("row", text_table()["detection"], ids=lambda row: row["caption"][:20])
def test_detection_prompts_equal_the_reference(row: dict) -> None:
    caption, spans = join_names([clean_name(name) for name in row["names"]])
    assert caption == row["caption"]
    tokenized = TOKENIZER.tokenize(caption)
    tokens = {str(n + 1): list(tokenized.span_to_tokens(span)) for n, span in enumerate(spans)}
    assert tokens == row["label_to_token"]
    plan = plan_names(row["names"], TOKENIZER)
    assert plan.not_seen == ()
    if row["n_tokens_untruncated"] <= 256:
        (prompt,) = plan.prompts
        assert prompt.text == row["caption"]
        assert [list(tokens) for tokens in prompt.tokens] == list(row["label_to_token"].values())


@pytest.mark.parametrize("row", text_table()["grounding"], ids=lambda row: row["caption"][:20])
def test_phrase_tokens_equal_the_reference(row: dict) -> None:
    plan = plan_caption(row["caption"], row["spans"], TOKENIZER)
    (prompt,) = plan.prompts
    tokens: list[list[int]] = [[] for _ in row["spans"]]
    for target, positions in zip(prompt.targets, prompt.tokens, strict=True):
        tokens[target] = list(positions)
    assert tokens == row["nonzero"]
    assert plan.not_seen == tuple(n for n, positions in enumerate(row["nonzero"]) if not positions)


def test_demo_list_spans_equal_the_reference() -> None:
    for row in text_table()["demo_list"]:
        tokenized = TOKENIZER.tokenize(row["caption"])
        for number, name in enumerate(row["names"]):
            start = row["caption"].index(name)
            tokens = tokenized.span_to_tokens((start, start + len(name)))
            assert list(tokens) == row["label_to_token"][str(number + 1)]


def test_1203_names_in_chunks_of_40() -> None:
    names = [f"thing {number}" for number in range(1203)]
    plan = plan_names(names, TOKENIZER, max_names=40)
    sizes = [len(prompt.targets) for prompt in plan.prompts]
    assert sizes == text_table()["chunks_1203_by_40"]
    packed = plan_names(names, TOKENIZER)
    assert all(prompt.num_tokens <= 256 for prompt in packed.prompts)
    assert [t for prompt in packed.prompts for t in prompt.targets] == list(range(1203))
    assert len(packed.prompts) < len(plan.prompts)


def test_positive_map_has_ones_where_a_name_stands() -> None:
    (prompt,) = plan_names(["hot dog", "cat"], TOKENIZER).prompts
    expected = torch.tensor([[0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]]).float()
    torch.testing.assert_close(prompt.positive_map(), expected)
    assert prompt.positive_map(256).shape == (2, 256)


def test_empty_caption_needs_no_prompt() -> None:
    assert plan_caption("", [], TOKENIZER).prompts == ()


def test_caption_without_phrases_needs_no_prompt() -> None:
    assert plan_caption("it is what it is", [], TOKENIZER).prompts == ()


@pytest.mark.parametrize("word", ["🐶", "☕☕", "狗", "Ｈｅｌｌｏ ｄｏｇ"])
def test_what_the_vocabulary_has_no_piece_for_is_not_seen(word: str) -> None:
    """All such words are the same [UNK]; asked for, they get boxes that mean nothing."""
    caption = f"a dog and {word}"
    plan = plan_caption(caption, [[(0, 5)], [(10, len(caption))]], TOKENIZER)
    assert plan.prompts[0].targets == (0,)
    assert plan.not_seen == (1,)
    names = plan_names(["dog", word, "cat"], TOKENIZER)
    assert [p.text for p in names.prompts] == ["dog. cat"]
    assert names.not_seen == (1,)


def test_a_word_that_is_known_in_part_is_asked() -> None:
    assert plan_names(["red 🐶"], TOKENIZER).not_seen == ()


def test_a_phrase_of_spaces_is_reported() -> None:
    plan = plan_caption("dog    cat", [[(4, 6)]], TOKENIZER)
    assert plan == plan_caption("dog    cat", [[(4, 6)]], TOKENIZER)
    assert plan.not_seen == (0,)


def _long_caption(sentences: int) -> tuple[str, list[list[tuple[int, int]]]]:
    text = " ".join(
        f"The man number {n} walks, with a red dog near the big house." for n in range(sentences)
    )
    found = re.finditer(r"The man number \d+|a red dog|the big house", text)
    return text, [[match.span()] for match in found]


def test_5000_words_become_windows_at_sentence_ends() -> None:
    caption, phrases = _long_caption(400)
    assert len(caption.split()) > 5000
    plan = plan_caption(caption, phrases, TOKENIZER)
    assert plan.not_seen == ()
    assert sorted(t for prompt in plan.prompts for t in prompt.targets) == list(range(1200))
    for prompt in plan.prompts:
        assert prompt.num_tokens <= 256
        assert prompt.text.rstrip().endswith(".")
        for target, tokens in zip(prompt.targets, prompt.tokens, strict=True):
            ((start, end),) = phrases[target]
            low, high = (
                prompt.tokenized.offsets[tokens[0]][0],
                prompt.tokenized.offsets[tokens[-1]][1],
            )
            assert prompt.text[low:high] == caption[start:end]


def test_a_window_never_cuts_a_phrase() -> None:
    caption = "word " * 252 + "a very long brown dog runs"
    start = caption.index("a very")
    plan = plan_caption(caption, [[(start, start + len("a very long brown dog"))]], TOKENIZER)
    assert plan.not_seen == ()
    (prompt,) = plan.prompts
    assert "a very long brown dog" in prompt.text


def test_a_phrase_over_the_limit_is_reported_and_the_others_are_seen() -> None:
    caption = "word " * 1000
    plan = plan_caption(caption, [[(0, len(caption) - 1)], [(5, 9)], [(4990, 4994)]], TOKENIZER)
    assert plan.not_seen == (0,)
    assert sorted(t for prompt in plan.prompts for t in prompt.targets) == [1, 2]


def test_text_without_any_space_is_divided() -> None:
    caption = "日本" * 3000
    plan = plan_caption(caption, [[(n, n + 2)] for n in range(0, 6000, 2)], TOKENIZER)
    assert plan.not_seen == ()
    assert all(prompt.num_tokens <= 256 for prompt in plan.prompts)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(alphabet="ab .,!é日\n(", max_size=12), max_size=60),
    st.integers(min_value=6, max_value=20),
)
def test_every_phrase_is_seen_once_or_reported(words: list[str], max_tokens: int) -> None:
    caption = " ".join(words)
    spans, start = [], 0
    for word in words:
        spans.append([(start, start + len(word))])
        start += len(word) + 1
    plan = plan_caption(caption, spans, TOKENIZER, max_tokens=max_tokens)
    seen = [target for prompt in plan.prompts for target in prompt.targets]
    assert sorted([*seen, *plan.not_seen]) == list(range(len(words)))
    for prompt in plan.prompts:
        for tokens in prompt.tokens:
            assert tokens
            assert 0 < tokens[0] <= tokens[-1] < min(max_tokens, prompt.num_tokens) - 1


def test_a_text_without_spaces_is_not_cut_inside_its_phrases() -> None:
    phrases = [[(start, start + 4)] for start in range(0, 800, 4)]
    plan = plan_caption("日本" * 400, phrases, default_tokenizer())
    assert plan.not_seen == ()
    assert sorted(t for prompt in plan.prompts for t in prompt.targets) == list(range(200))
