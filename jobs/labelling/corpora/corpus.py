"""What labelling asks of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.images.access import ANYTHING, ImageAccess
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord


class Corpus(Protocol):
    """What a run needs of a corpus; `pipeline.corpus.Corpus` has more."""

    @property
    def format(self) -> str:
        """Name of the kind of corpus."""
        ...

    @property
    def uri(self) -> str:
        """Where it is."""
        ...

    def inputs(self) -> tuple[InputFile, ...]:
        """The input files."""
        ...

    def units(self, records_per_unit: int) -> tuple[Unit, ...]:
        """All of it in units."""
        ...

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit."""
        ...

    def fingerprint(self) -> Mapping[str, object]:
        """What changes the records besides the files."""
        ...


@dataclass(frozen=True)
class OtherCaptions:
    """The images of a corpus with other captions: what all such corpora pass on unchanged."""

    corpus: Corpus

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

    @property
    def access(self) -> ImageAccess:
        """What its records may make this machine read."""
        found: ImageAccess = getattr(self.corpus, "access", ANYTHING)
        return found

    def inputs(self) -> tuple[InputFile, ...]:
        """The input files."""
        return self.corpus.inputs()

    def units(self, records_per_unit: int) -> tuple[Unit, ...]:
        """All of it in units."""
        return self.corpus.units(records_per_unit)

    def fingerprint(self) -> Mapping[str, object]:
        """What changes the records besides the files."""
        return self.corpus.fingerprint()
