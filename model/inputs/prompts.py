"""Class names and captions as prompts, and which text positions stand for what.

A prompt never exceeds the model's token limit: class lists are divided into several prompts, long
captions into windows, and what fits nowhere is named.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from model.inputs.tokenizer import MAX_TOKENS, TokenizedText
from schemas.records import Span

NAME_SEPARATOR = ". "

_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*(?=\s)|[\r\n]+")
_CLAUSE_END = re.compile(r"[,;:](?=\s)")
_SPACE = re.compile(r"\s+")


class PromptTokenizer(Protocol):
    """What plans prompts needs to count: GLIP's tokenizer, or another model's."""

    @property
    def num_special(self) -> int:
        """Pieces that every text has beside its own, such as [CLS] and [SEP]."""
        ...

    def tokenize(self, text: str) -> TokenizedText:
        """All pieces of a text, [CLS] first and [SEP] last."""
        ...

    def knows(self, text: TokenizedText, positions: Sequence[int]) -> bool:
        """Whether the vocabulary has a piece for any of these text positions."""
        ...


@dataclass(frozen=True)
class Prompt:
    """A text for the model and what each of its targets is called in it.

    targets: for each target its index in the caller's list of names or phrases.
    tokens: for each target its text positions, [CLS] at 0; never empty, all below the limit.
    """

    tokenized: TokenizedText
    targets: tuple[int, ...]
    tokens: tuple[tuple[int, ...], ...]

    @property
    def text(self) -> str:
        """What the model reads."""
        return self.tokenized.text

    @property
    def num_tokens(self) -> int:
        """Length with [CLS] and [SEP]."""
        return len(self.tokenized)

    def positive_map(self, width: int | None = None) -> Tensor:
        """0/1 [targets, width]; width: the number of text positions, default this prompt's."""
        return positive_map(self.tokens, width or self.num_tokens)


@dataclass(frozen=True)
class PromptPlan:
    """All prompts that a list of names or a caption needs.

    not_seen: indices of names without any token, or phrases that no prompt holds whole.
    """

    prompts: tuple[Prompt, ...]
    not_seen: tuple[int, ...]


def positive_map(tokens: Sequence[Sequence[int]], width: int) -> Tensor:
    """0/1 float32 [len(tokens), width] with a 1 on every listed text position."""
    rows = torch.zeros(len(tokens), width)
    for number, positions in enumerate(tokens):
        rows[number, list(positions)] = 1
    return rows


# --- class names ---------------------------------------------------------------------------------


def clean_name(name: str) -> str:
    """A category name as the reference writes it into a prompt.

    Everything from the first "(" to the last ")" goes, "_" becomes a space, double spaces become
    single in one pass. A trailing space may remain, as it does there.
    """
    name = re.sub(r"\(.*\)", "", name)
    return name.replace("_", " ").replace("  ", " ")


def join_names(names: Sequence[str]) -> tuple[str, tuple[Span, ...]]:
    """Cleaned names as one caption, ". " between and nothing at the end, and the names' spans."""
    spans = []
    start = 0
    for name in names:
        spans.append((start, start + len(name)))
        start += len(name) + len(NAME_SEPARATOR)
    return NAME_SEPARATOR.join(names), tuple(spans)


def plan_names(
    names: Sequence[str],
    tokenizer: PromptTokenizer,
    *,
    max_names: int | None = None,
    max_tokens: int = MAX_TOKENS,
) -> PromptPlan:
    """Prompts for a list of class names, in order, each as full as the limits allow.

    Args:
        names: of any number; duplicates are kept.
        tokenizer: counts the tokens.
        max_names: per prompt; the reference takes 40 for long lists. None: only tokens count.
        max_tokens: per prompt.

    Returns:
        The plan; `not_seen` has names without a token (such as "(x)"), names of which the
        vocabulary has no piece, and single names longer than a prompt.
    """
    cleaned = [clean_name(name) for name in names]
    prompts: list[Prompt] = []
    chunk: list[int] = []
    special = tokenizer.num_special
    used = special
    for index, name in enumerate(cleaned):
        alone = tokenizer.tokenize(name)
        length = len(alone) - special
        if not 0 < length <= max_tokens - special:
            continue
        if not tokenizer.knows(alone, range(1, length + 1)):
            continue
        needed = length + bool(chunk)
        if chunk and (used + needed > max_tokens or len(chunk) == max_names):
            prompts.extend(_name_prompts(chunk, cleaned, tokenizer, max_tokens))
            chunk, used, needed = [], special, length
        chunk.append(index)
        used += needed
    if chunk:
        prompts.extend(_name_prompts(chunk, cleaned, tokenizer, max_tokens))
    seen = {target for prompt in prompts for target in prompt.targets}
    not_seen = tuple(index for index in range(len(names)) if index not in seen)
    return PromptPlan(tuple(prompts), not_seen)


def _name_prompts(
    chunk: Sequence[int], cleaned: Sequence[str], tokenizer: PromptTokenizer, max_tokens: int
) -> Iterator[Prompt]:
    text, spans = join_names([cleaned[index] for index in chunk])
    tokenized = tokenizer.tokenize(text)
    if len(tokenized) > max_tokens and len(chunk) > 1:
        # Names may join their separator to one piece more than they have alone.
        half = len(chunk) // 2
        yield from _name_prompts(chunk[:half], cleaned, tokenizer, max_tokens)
        yield from _name_prompts(chunk[half:], cleaned, tokenizer, max_tokens)
        return
    found = [
        (index, tokenized.span_to_tokens(span)) for index, span in zip(chunk, spans, strict=True)
    ]
    yield _prompt(tokenized, found, tokenizer, max_tokens)


def _prompt(
    tokenized: TokenizedText,
    found: Sequence[tuple[int, tuple[int, ...]]],
    tokenizer: PromptTokenizer,
    max_tokens: int,
) -> Prompt:
    last = min(len(tokenized), max_tokens) - 1  # [SEP]
    kept = [
        (index, tokens)
        for index, tokens in found
        if tokens and tokens[-1] < last and tokenizer.knows(tokenized, tokens)
    ]
    return Prompt(tokenized, tuple(index for index, _ in kept), tuple(tokens for _, tokens in kept))


# --- captions ------------------------------------------------------------------------------------


def plan_caption(
    caption: str,
    phrases: Sequence[Sequence[Span]],
    tokenizer: PromptTokenizer,
    *,
    max_tokens: int = MAX_TOKENS,
) -> PromptPlan:
    """Prompts for a caption: itself, or windows of it where it has more tokens than the limit.

    A window ends after a sentence where one ends in its second half, else after a clause, else
    at a space, never inside a phrase that would fit into half of it; in a text without spaces it
    ends before the phrase that would be cut.

    Args:
        caption: any length; an empty one gives no prompt.
        phrases: for each phrase its character spans in the caption.
        tokenizer: counts the tokens.
        max_tokens: per prompt.

    Returns:
        The plan; windows without a phrase are left out. `not_seen` has phrases without a token,
        phrases of which the vocabulary has no piece, and phrases that alone exceed the limit.
    """
    tokenized = tokenizer.tokenize(caption)
    if len(tokenized) <= max_tokens:
        windows = [(0, len(caption))]
    else:
        windows = _windows(caption, tokenized, phrases, max_tokens - tokenizer.num_special)
    prompts: list[Prompt] = []
    taken: set[int] = set()
    for start, end in windows:
        inside = [
            index
            for index, spans in enumerate(phrases)
            if index not in taken and spans and all(start <= a and b <= end for a, b in spans)
        ]
        if not inside:
            continue
        window = (
            tokenized if end - start == len(caption) else tokenizer.tokenize(caption[start:end])
        )
        found = [(index, _phrase_tokens(window, phrases[index], start)) for index in inside]
        prompt = _prompt(window, found, tokenizer, max_tokens)
        if prompt.targets:
            prompts.append(prompt)
            taken.update(prompt.targets)
    not_seen = tuple(index for index in range(len(phrases)) if index not in taken)
    return PromptPlan(tuple(prompts), not_seen)


def _phrase_tokens(window: TokenizedText, spans: Sequence[Span], offset: int) -> tuple[int, ...]:
    positions: set[int] = set()
    for start, end in spans:
        positions.update(window.span_to_tokens((start - offset, end - offset)))
    return tuple(sorted(positions))


def _windows(
    caption: str,
    tokenized: TokenizedText,
    phrases: Sequence[Sequence[Span]],
    room: int,
) -> list[Span]:
    """Character windows that together cover the caption, each of at most `room` pieces."""
    # A phrase's spans stay together; one that cannot fit must not forbid every border inside it.
    blocked: set[int] = set()
    pieces = tokenized.offsets[1:-1]
    starts = [start for start, _ in pieces]
    for spans in phrases:
        if not spans:
            continue
        low, high = min(a for a, _ in spans), max(b for _, b in spans)
        near = pieces[bisect_left(starts, low) : bisect_left(starts, high)]
        inside = sum(1 for a, b in near if a < b <= high)
        if inside <= room // 2:
            blocked.update(range(low + 1, high))
    borders = [
        [match.end() for match in pattern.finditer(caption) if match.end() not in blocked]
        for pattern in (_SENTENCE_END, _CLAUSE_END, _SPACE)
    ]
    windows: list[Span] = []
    first = 0
    while first < len(pieces):
        start = pieces[first][0]
        if len(pieces) - first <= room:
            windows.append((start, len(caption)))
            break
        limit = pieces[first + room - 1][1]
        middle = pieces[first + room // 2][0]
        end = _last_border(borders, middle, limit) or _before_phrase(blocked, middle, limit)
        windows.append((start, end))
        while first < len(pieces) and pieces[first][0] < end:
            first += 1
    return windows


def _before_phrase(blocked: set[int], middle: int, limit: int) -> int:
    """The last place after `middle` that is inside no phrase; `limit` if there is none."""
    return next((end for end in range(limit, middle, -1) if end not in blocked), limit)


def _last_border(borders: Sequence[Sequence[int]], middle: int, limit: int) -> int | None:
    for kind in borders:
        ends = [end for end in kind if middle < end <= limit]
        if ends:
            return ends[-1]
    return None
