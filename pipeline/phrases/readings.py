"""What else a parser says of phrases: named entities by class, and their referring expressions.

Expressions are GRIT's (Peng et al., Kosmos-2, 2023, section 2.1): a noun chunk with all that hangs
on its noun in the dependency tree, "a dog" in "a dog in a field of flowers" the whole of it. Chunks
with conjuncts are not expanded, and of expressions that lie in another one only the widest stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.phrases.extract import load_model
from schemas.errors import ConfigError
from schemas.records import Span

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

READER_VERSION = 1
MAX_CHARS = 10_000
ENTITIES = (
    *("PERSON", "NORP", "FAC", "ORG", "GPE", "LOC", "PRODUCT", "EVENT", "WORK_OF_ART", "LAW"),
    *("LANGUAGE", "DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL", "CARDINAL"),
)
"""Classes of OntoNotes 5, which spaCy's English models know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of one phrase."""

    entity: str = ""
    """Class of the named entity that its noun belongs to; empty: none."""
    expression: Span | None = None
    """Characters of its referring expression, where that is more than the phrase."""


class PhraseReader:
    """Reads phrases in their captions. Loads the model at once."""

    def __init__(self, model: str | None = None) -> None:
        """Load the model.

        Raises:
            MissingDependency: spaCy or the model is not installed.
            ConfigError: the model has no parser, or knows no named entities.
        """
        self._nlp = load_model(model, exclude=("lemmatizer",))
        if "ner" not in self._nlp.pipe_names:
            raise ConfigError(f"the spaCy model {model!r} knows no named entities (component ner)")

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes the readings."""
        meta = self._nlp.meta
        return {
            "reader": "spacy",
            "reader_version": READER_VERSION,
            "spacy": version("spacy"),
            "model": f"{meta['lang']}_{meta['name']}",
            "model_version": meta["version"],
        }

    def read(
        self, captions: Sequence[str], phrases: Sequence[Sequence[Span]]
    ) -> list[list[Reading]]:
        """One reading for each phrase of each caption, in order.

        Args:
            captions: as they are written: names are known by their capitals.
            phrases: characters of the phrases of each; of what lies beyond 10,000 nothing is said.
        """
        found = []
        with self._nlp.memory_zone():
            for doc, spans in zip(
                self._nlp.pipe([caption[:MAX_CHARS] for caption in captions]), phrases, strict=True
            ):
                found.append(_readings(doc, spans))
        return found


def _readings(doc: Doc, spans: Sequence[Span]) -> list[Reading]:
    heads = [_noun(doc, span) for span in spans]
    wide = [
        None if head is None else _expression(doc, head, span)
        for head, span in zip(heads, spans, strict=True)
    ]
    return [
        Reading(
            entity="" if head is None else head.ent_type_,
            expression=None if own is None or _inside_other(own, wide) else own,
        )
        for head, own in zip(heads, wide, strict=True)
    ]


def _noun(doc: Doc, span: Span) -> Token | None:
    """The token that the phrase hangs on; None where the parser cut elsewhere."""
    chunk = doc.char_span(*span, alignment_mode="contract")
    return None if chunk is None or not len(chunk) else chunk.root


def _expression(doc: Doc, noun: Token, span: Span) -> Span | None:
    """The noun with all that hangs on it, where that is more than the phrase; None with conjuncts:
    "a dog and a cat by a tree" does not say who is by the tree."""
    if any(child.dep_ in ("conj", "cc") for child in noun.children):
        return None
    first, last = noun.left_edge.i, noun.right_edge.i
    while last > noun.i and (doc[last].is_punct or doc[last].is_space):
        last -= 1
    start = min(doc[first].idx, span[0])
    end = max(doc[last].idx + len(doc[last]), span[1])
    sentence = noun.sent
    start, end = max(start, sentence.start_char), min(end, sentence.end_char)
    return (start, end) if (start, end) != tuple(span) and end - start > span[1] - span[0] else None


def _inside_other(own: Span, others: Sequence[Span | None]) -> bool:
    return any(
        other is not None and other != own and other[0] <= own[0] and own[1] <= other[1]
        for other in others
    )
