"""From a parser's noun chunks to the spans that are phrases: trimmed, cut at marks, joined."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline.phrases.cut_words import COLLECTIVES

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span

    from pipeline.phrases.as_read import AsRead

_NOUN_TAGS = ("NOUN", "PROPN")
_QUOTES = frozenset("\"'`“”„‟«»‘’") | {"''", "``"}  # noqa: RUF001 - quote marks of any script
_JOINING = ("and", "or", "but")
MAX_PHRASE_TOKENS = 100
"""A longer noun chunk names nothing, and is not cut any further."""
_BRACKETS = {")": "(", "]": "[", "}": "{"}


def chunks(doc: Doc) -> Iterator[Span]:
    """The noun chunks, and the noun in front of a bare participle, of which the parser makes an
    adverb: `woman holding dog`."""
    found = list(doc.noun_chunks)
    for token in doc:
        if token.dep_ != "npadvmod" or not token.tag_.startswith("NN"):
            continue
        verb = token.head
        if verb.tag_ == "VBG":
            subject = doc[token.left_edge.i : token.i + 1]
            others = {child.dep_ for child in verb.children}
            if token.i < verb.i and not others & {"nsubj", "aux"} and verb.dep_ == "ROOT":
                found.append(subject)
    yield from sorted(found, key=lambda chunk: chunk.start)


def cut_at(chunk: Span, read: AsRead) -> list[Span]:
    """The parts of a chunk between open quote marks, which the parser has not read: `a dog” a cat`
    names two things."""
    if not read.open_marks:
        return [chunk]
    places = [token.idx for token in chunk]
    cuts = read.cuts(chunk.start_char, chunk.end_char)
    starts = [chunk.start + bisect_left(places, place) for place in cuts]
    return _naming(chunk.doc, [chunk.start, *starts, chunk.end])


def trimmed(chunk: Span) -> Iterator[Span]:
    """The chunk without punctuation and spaces at its ends, and without the "and" that a piece may
    begin with, cut at a lone quote mark; nothing where no letter is left."""
    start, end, doc = chunk.start, chunk.end, chunk.doc
    text = chunk.text
    if (
        text.replace(" ", "").isalpha()
        and text == text.strip()
        and doc[start].lower_ not in _JOINING
    ):
        yield chunk
        return
    while start < end and (
        doc[start].lower_ in _JOINING
        or (not any(map(str.isalnum, doc[start].text)) and doc[start].pos_ != "NOUN")
    ):
        start += 1
    while start < end and (doc[end - 1].is_space or doc[end - 1].is_punct):
        end -= 1
    lone = _lone_mark(doc, start, end) if end - start <= MAX_PHRASE_TOKENS else None
    if lone is not None:
        for side in _naming(doc, [start, lone, lone + 1, end]):
            yield from trimmed(side)
    elif start < end and any(map(str.isalnum, doc[start:end].text)):
        yield doc[start:end]


def _naming(doc: Doc, borders: list[int]) -> list[Span]:
    """The spans between borders that name something; all of it where none does."""
    if len(borders) == 2:
        return [doc[borders[0] : borders[1]]]
    sides = [doc[start:end] for start, end in pairwise(borders) if start < end]
    named = [
        side
        for side in sides
        if any(token.pos_ in (*_NOUN_TAGS, "PRON") for token in side) and side[-1].tag_ != "POS"
    ]
    return named or sides[-1:]


def _lone_mark(doc: Doc, start: int, end: int) -> int | None:
    """The last quote mark of an odd number of them, or a bracket whose other half is elsewhere."""
    waiting: list[int] = []
    for token in doc[start:end]:
        if token.text in _BRACKETS.values():
            waiting.append(token.i)
        elif token.text in _BRACKETS:
            if not waiting:
                return int(token.i)
            waiting.pop()
    if waiting:
        return waiting[-1]
    marks = [
        token.i
        for token in doc[start:end]
        if token.text in _QUOTES and token.tag_ != "POS" and not _is_measure(doc, token.i)
    ]
    return marks[-1] if len(marks) % 2 else None


def _is_measure(doc: Doc, place: int) -> bool:
    """Whether a mark is that of inches or feet: `12" pizza`."""
    return place > 0 and doc[place - 1].text[-1:].isdigit()


def joined(doc: Doc, spans: list[Span]) -> list[Span]:
    """Collective + "of" + phrase as one span, also several in a row."""
    found: list[Span] = []
    for span in spans:
        before = found[-1] if found else None
        if (
            before is not None
            and span.start == before.end + 1
            and doc[before.end].lower_ == "of"
            and doc[before.end - 1].lower_ in COLLECTIVES
            and doc[span.end - 1].pos_ in _NOUN_TAGS
        ):
            found[-1] = doc[before.start : span.end]
        else:
            found.append(span)
    return found


def head_of(span: Span) -> Any:
    """The noun that names the phrase: a chunk ends with it, a joined one with its last chunk's."""
    for token in reversed(span):
        if token.pos_ in (*_NOUN_TAGS, "PRON"):
            return token
    return span.root
