"""Readers of captioned corpora: what a user has on a disk or a store, as units of records."""

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
