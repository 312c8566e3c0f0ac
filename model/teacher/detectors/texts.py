"""Texts of other models' tokenizers: exact character offsets, and queries of a limited length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from model.inputs.prompts import clean_name
from model.inputs.tokenizer import TokenizedText
from schemas.errors import ConfigError
from schemas.records import Span

FULL_STOP = 1012
BERT_SPECIAL = {"[CLS]": 101, "[SEP]": 102, ".": FULL_STOP, "?": 1029}


def _require_rows(tokenizer: Any, vocab_size: int) -> None:
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= vocab_size:
        raise ConfigError(
            f"the tokenizer has word pieces up to number {largest}, the network {vocab_size:,} of "
            "them: they do not belong together"
        )


class OffsetText(TokenizedText):
    """A text whose phrases are exactly the pieces that overlap their span."""

    def span_to_tokens(self, span: Span) -> tuple[int, ...]:
        """Positions of the pieces that share a character with a span."""
        start, end = span
        return tuple(
            place for place, (a, b) in enumerate(self.offsets) if b > a and a < end and b > start
        )


class StoppedTokenizer:
    """The tokenizer of Grounding DINO; every text ends with a full stop.

    Grounding DINO lets the words between two full stops see each other and nothing else, and
    leaves out what the last one does not close: a caption without its full stop is read as single
    words, alone, and as a sentence in a batch with a longer one.

    Args:
        tokenizer: Of transformers, in its fast form.
        vocab_size: Word pieces that the network has a row for.

    Raises:
        ConfigError: its numbers are not those of bert-base-uncased, which transformers has
            written into the network, or the network has no row for some.
    """

    num_special = 3
    """[CLS], the full stop and [SEP]."""

    def __init__(self, tokenizer: Any, *, vocab_size: int) -> None:
        vocabulary = tokenizer.get_vocab()
        for piece, number in BERT_SPECIAL.items():
            if vocabulary.get(piece) != number:
                raise ConfigError(
                    f"the tokenizer has {piece!r} at {vocabulary.get(piece)}; Grounding DINO needs "
                    f"bert-base-uncased's vocabulary, where it is {number}"
                )
        _require_rows(tokenizer, vocab_size)
        self.pad_id, self._unknown = int(vocabulary["[PAD]"]), int(vocabulary["[UNK]"])
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_padding()
        self._backend.no_truncation()

    def tokenize(self, text: str) -> OffsetText:
        """All pieces of a text and its full stop; offsets count in the text as it was given."""
        encoding = self._backend.encode(text)
        if encoding.ids[-2] != FULL_STOP:
            encoding = self._backend.encode(f"{text}.")
        return OffsetText(text, tuple(encoding.ids), tuple(encoding.offsets))

    def knows(self, text: TokenizedText, positions: Sequence[int]) -> bool:
        """Whether any of these text positions is more than a word that the vocabulary lacks."""
        return any(text.ids[position] != self._unknown for position in positions)


@dataclass(frozen=True, slots=True)
class QueryPrompt:
    """Phrases that are asked together, each a text of its own.

    targets: for each query its index in the caller's list.
    texts: the queries.
    ids: their token ids, whole, never cut.
    """

    targets: tuple[int, ...]
    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """All queries of a caption or a list of names.

    not_seen: indices of texts without a token, or longer than the model reads.
    """

    prompts: tuple[QueryPrompt, ...]
    not_seen: tuple[int, ...]


class QueryPlanner:
    """Phrases as queries of a text tower with a fixed number of positions.

    Args:
        tokenizer: Of transformers, in its fast form.
        max_tokens: Text positions of the model, its two special ones included.
        fits: Whether so many texts may be one prompt; None: any number.
        vocab_size: Word pieces that the network has a row for.

    Raises:
        ConfigError: it is not the tokenizer of the network: numbers that this has no row for, or
            texts that do not end with the largest one, which is where CLIP reads a text's meaning.
    """

    def __init__(
        self,
        tokenizer: Any,
        max_tokens: int,
        fits: Callable[[Sequence[str]], bool] | None = None,
        *,
        vocab_size: int,
    ) -> None:
        self.max_tokens = max_tokens
        self._fits = fits
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_padding()
        self._backend.no_truncation()
        _require_rows(tokenizer, vocab_size)
        ids, pad, end = self.ids("a dog"), tokenizer.pad_token_id or 0, tokenizer.eos_token_id
        if len(ids) < 3 or ids[-1] != end or ids[-1] != max(*ids, pad):
            raise ConfigError(
                f"the tokenizer writes 'a dog' as {list(ids)}, its end of a text is {end}, its "
                f"padding {pad}; a text must end with the largest of these numbers, as CLIP's do"
            )

    def ids(self, text: str) -> tuple[int, ...]:
        """All token ids of a text, with the special ones at both ends."""
        return tuple(self._backend.encode(text).ids)

    def plan_caption(self, caption: str, spans: Sequence[Sequence[Span]]) -> QueryPlan:
        """Each phrase as its own query; the rest of the caption is not read."""
        texts = [" ".join(caption[a:b] for a, b in own) for own in spans]
        return self._plan(texts, limit=0)

    def plan_names(self, names: Sequence[str], limit: int) -> QueryPlan:
        """Cleaned class names as queries, at most `limit` in a prompt (0: no limit)."""
        return self._plan([clean_name(name).strip() for name in names], limit)

    def _plan(self, texts: Sequence[str], limit: int) -> QueryPlan:
        kept: list[tuple[int, tuple[int, ...]]] = []
        for index, text in enumerate(texts):
            ids = self.ids(text)
            if 2 < len(ids) <= self.max_tokens:
                kept.append((index, ids))
        prompts: list[QueryPrompt] = []
        chunk: list[tuple[int, tuple[int, ...]]] = []

        def close() -> None:
            if chunk:
                targets, ids = zip(*chunk, strict=True)
                prompts.append(QueryPrompt(targets, tuple(texts[i] for i in targets), ids))
                chunk.clear()

        for entry in kept:
            together = [texts[index] for index, _ in (*chunk, entry)]
            is_full = bool(limit) and len(chunk) == limit
            if chunk and (is_full or (self._fits is not None and not self._fits(together))):
                close()
            chunk.append(entry)
        close()
        seen = {index for index, _ in kept}
        return QueryPlan(
            tuple(prompts), tuple(index for index in range(len(texts)) if index not in seen)
        )
