"""Captions to word pieces, with the character offsets that every phrase depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer

from model.outputs import TokenBatch
from schemas.errors import ConfigError, MissingDependency
from schemas.records import Span

MAX_TOKENS = 256
"""Text positions of the released models, [CLS] and [SEP] included."""
SHIPPED_VOCAB = Path(__file__).parents[1] / "vocab" / "vocab.txt"
VOCAB_NAME = "vocab.txt"


@dataclass(frozen=True)
class TokenizedText:
    """A caption in word pieces, never truncated here.

    ids: with [CLS] first and [SEP] last.
    offsets: half-open CHARACTER span of each piece in `text`; (0, 0) for [CLS] and [SEP].
    """

    text: str
    ids: tuple[int, ...]
    offsets: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _token_of_char(self) -> dict[int, int]:
        table: dict[int, int] = {}
        for token, (start, end) in enumerate(self.offsets):
            for char in range(start, end):
                table.setdefault(char, token)
        return table

    def char_to_token(self, char: int) -> int | None:
        """Position of the piece that covers a character; None for spaces and places outside."""
        return self._token_of_char.get(char)

    def span_to_tokens(self, span: Span) -> tuple[int, ...]:
        """Positions of the pieces of a character span, by the reference's rule.

        The first piece covers the span's first character, or the one or two after it; the last
        covers its last character, or the one or two before it. Empty where either is missing or
        they cross. Positions may lie beyond the model's limit.
        """
        start, end = span
        first = self._first_token((start, start + 1, start + 2))
        last = self._first_token((end - 1, end - 2, end - 3))
        if first is None or last is None:
            return ()
        return tuple(range(first, last + 1))

    def _first_token(self, chars: tuple[int, ...]) -> int | None:
        return next((token for token in map(self.char_to_token, chars) if token is not None), None)


class GlipTokenizer:
    """The uncased BERT word-piece tokenizer: lower case, accents stripped.

    Args:
        vocab_path: One entry a line; default: the shipped bert-base-uncased list.

    Raises:
        MissingDependency: the file is absent.
        ConfigError: the file is not UTF-8 text, or lacks a special entry.
    """

    num_special = 2
    """[CLS] and [SEP]."""

    def __init__(self, vocab_path: Path | None = None) -> None:
        path = vocab_path or SHIPPED_VOCAB
        if not path.is_file():
            raise MissingDependency(
                f"no vocabulary at {path}; a converted checkpoint directory has {VOCAB_NAME}, "
                "`glipforge convert` writes it"
            )
        self._vocab_text = path.read_bytes()
        try:
            entries = self._vocab_text.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise ConfigError(f"the vocabulary {path} is not UTF-8 text: {error}") from error
        vocab = {entry.rstrip("\r"): number for number, entry in enumerate(entries) if entry}
        absent = [name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if name not in vocab]
        if absent:
            raise ConfigError(f"the vocabulary {path} lacks {', '.join(absent)}")
        self.vocab_size = len(vocab)
        self.num_ids = max(vocab.values()) + 1
        """More than `vocab_size` where the file has empty lines or names a piece twice."""
        self.pad_id, self.sep_id, self.unk_id = vocab["[PAD]"], vocab["[SEP]"], vocab["[UNK]"]
        self._backend = BertWordPieceTokenizer(vocab=vocab, lowercase=True)

    def tokenize(self, text: str) -> TokenizedText:
        """All word pieces of a text, between [CLS] and [SEP]."""
        encoding = self._backend.encode(text)
        return TokenizedText(text, tuple(encoding.ids), tuple(encoding.offsets))

    def knows(self, text: TokenizedText, positions: Sequence[int]) -> bool:
        """Whether the vocabulary has a piece for any of these text positions.

        Words that it lacks are all the same [UNK], so a name made of them alone asks for nothing.
        """
        return any(text.ids[position] != self.unk_id for position in positions)

    def batch(
        self, texts: Sequence[str | TokenizedText], *, max_tokens: int = MAX_TOKENS
    ) -> TokenBatch:
        """Token ids of several texts, padded to the longest of them.

        A longer text is cut to its first `max_tokens` - 1 pieces and [SEP];
        `model/inputs/prompts.py` plans prompts so that this never happens unseen.
        """
        rows = [self.truncated_ids(text, max_tokens) for text in texts]
        length = max(map(len, rows), default=0)
        ids = torch.full((len(rows), length), self.pad_id, dtype=torch.int64)
        mask = torch.zeros(len(rows), length, dtype=torch.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[number, : len(row)] = 1
        return TokenBatch(ids, mask)

    def truncated_ids(
        self, text: str | TokenizedText, max_tokens: int = MAX_TOKENS
    ) -> tuple[int, ...]:
        """Ids of one text with [CLS] and [SEP], at most `max_tokens` of them."""
        ids = (self.tokenize(text) if isinstance(text, str) else text).ids
        return ids if len(ids) <= max_tokens else (*ids[: max_tokens - 1], self.sep_id)

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of the vocabulary's sha256."""
        return hashlib.sha256(self._vocab_text).hexdigest()[:12]

    def save(self, directory: Path) -> None:
        """Write the vocabulary beside a checkpoint."""
        (directory / VOCAB_NAME).write_bytes(self._vocab_text)


def directory_tokenizer(directory: Path, vocab_size: int) -> GlipTokenizer:
    """The directory's own vocabulary, or the shipped one where it has none.

    Raises:
        ConfigError: the vocabulary has another number of entries than the model.
    """
    own = directory / VOCAB_NAME
    tokenizer = GlipTokenizer(own if own.is_file() else SHIPPED_VOCAB)
    if tokenizer.num_ids > vocab_size:
        raise ConfigError(
            f"the vocabulary of {str(directory)!r} has {tokenizer.num_ids} entries, its model "
            f"{vocab_size}: restore its {VOCAB_NAME}, or convert or export the model again"
        )
    return tokenizer


@lru_cache(maxsize=1)
def default_tokenizer() -> GlipTokenizer:
    """The tokenizer of the shipped vocabulary, made once per process."""
    return GlipTokenizer()
