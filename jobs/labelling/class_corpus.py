"""A corpus that is asked for classes: its images, with the class list in place of captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from jobs.labelling.corpus import Corpus
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord


@dataclass(frozen=True)
class ClassCorpus:
    """The records of `corpus`, which reads no captions, with one caption for all."""

    corpus: Corpus
    caption: str

    @property
    def format(self) -> str:
        """Name of the kind of corpus."""
        return self.corpus.format

    @property
    def uri(self) -> str:
        """Where it is."""
        return self.corpus.uri

    @property
    def explanation(self) -> str:
        """One line on what was found."""
        return str(getattr(self.corpus, "explanation", ""))

    def inputs(self) -> tuple[InputFile, ...]:
        """The input files."""
        return self.corpus.inputs()

    def units(self, records_per_unit: int) -> tuple[Unit, ...]:
        """All of it in units."""
        return self.corpus.units(records_per_unit)

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit."""
        return (replace(record, caption=self.caption) for record in self.corpus.read(unit))

    def fingerprint(self) -> Mapping[str, object]:
        """What changes the records besides the files; the list is with the phrases."""
        return self.corpus.fingerprint()
