"""A corpus that is asked for classes: its images, with the class list in place of captions.

What changes its records besides the files is the corpus' own; the list is with the phrases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from jobs.labelling.corpora.corpus import OtherCaptions
from schemas.plan import Unit
from schemas.records import CorpusRecord


@dataclass(frozen=True)
class ClassCorpus(OtherCaptions):
    """The records of `corpus`, which reads no captions, with one caption for all."""

    caption: str

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit."""
        return map(partial(replace, caption=self.caption), self.corpus.read(unit))
