"""What labelling asks of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

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
