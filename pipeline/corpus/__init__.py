"""Readers of captioned corpora: what a user has on a disk or a store, as units of records."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.corpus.corpus import RECORDS_PER_UNIT, Corpus
    from pipeline.corpus.open import open_corpus
    from pipeline.corpus.options import FORMATS, CorpusFormat, CorpusOptions

__all__ = [
    "FORMATS",
    "RECORDS_PER_UNIT",
    "Corpus",
    "CorpusFormat",
    "CorpusOptions",
    "open_corpus",
]
_HOME = {"Corpus": "corpus", "RECORDS_PER_UNIT": "corpus", "open_corpus": "open"}


def __getattr__(name: str) -> Any:
    """The readers are loaded where one is asked for: a command's help names only the options."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'options')}"), name)
