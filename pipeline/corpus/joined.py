"""Several corpora as one: the units of all, each read as its own corpus reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline.corpus.corpus import RECORDS_PER_UNIT, Corpus
from pipeline.corpus.open import open_corpus
from pipeline.corpus.options import CorpusOptions
from pipeline.images.access import ImageAccess
from schemas.errors import ConfigError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord

SEPARATOR = " + "


class JoinedCorpus:
    """Corpora that are labelled in one run.

    Unit ids begin with the number of their corpus. Record ids begin with the name of the corpus'
    folder, or with the folder above as well where two have one name.
    """

    def __init__(self, parts: Sequence[Corpus]) -> None:
        self.parts = tuple(parts)
        sources = Counter(part.source for part in self.parts)
        twice = [source for source, count in sources.items() if count > 1]
        if twice:
            uris = ", ".join(part.uri for part in self.parts if part.source == twice[0])
            raise ConfigError(
                f"--corpus: {uris} are all named {twice[0]!r}, and so would their records be; "
                "rename a folder, or label them in runs of their own"
            )

    @property
    def format(self) -> str:
        """The kinds of all."""
        return SEPARATOR.join(dict.fromkeys(part.format for part in self.parts))

    @property
    def uri(self) -> str:
        """Where they are."""
        return SEPARATOR.join(part.uri for part in self.parts)

    @property
    def explanation(self) -> str:
        """One line on what was found in each."""
        return "; ".join(f"{part.source}: {part.explanation}" for part in self.parts)

    @property
    def access(self) -> ImageAccess:
        """What the records of all may make this machine read."""
        first, *others = (part.access for part in self.parts)
        return replace(first, others=tuple(access.root for access in others))

    def inputs(self) -> tuple[InputFile, ...]:
        """The files of all, each once."""
        files = {file.uri: file for part in self.parts for file in part.inputs()}
        return tuple(files.values())

    def units(self, records_per_unit: int = RECORDS_PER_UNIT) -> tuple[Unit, ...]:
        """The units of all, one corpus after the other."""
        return tuple(
            replace(unit, unit_id=f"{number}.{unit.unit_id}")
            for number, part in enumerate(self.parts)
            for unit in part.units(records_per_unit)
        )

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit."""
        number, _, own = unit.unit_id.partition(".")
        return self.parts[int(number)].read(replace(unit, unit_id=own))

    def fingerprint(self) -> dict[str, Any]:
        """Of each."""
        return {"joined": [part.fingerprint() for part in self.parts]}


def open_corpora(uris: Sequence[str], options: CorpusOptions) -> Corpus | JoinedCorpus:
    """One corpus, or several as one.

    Raises:
        ConfigError: one cannot be opened, or two cannot be told apart.
    """
    if len(uris) == 1:
        return open_corpus(uris[0], options)
    if len(set(uris)) < len(uris):
        twice = next(uri for uri in uris if uris.count(uri) > 1)
        raise ConfigError(f"--corpus {twice} is given twice")
    if options.source is not None:
        raise ConfigError("--source names one corpus; leave it out where --corpus is repeated")
    parts = [open_corpus(uri, options) for uri in uris]
    sources = Counter(part.source for part in parts)
    return JoinedCorpus(
        [
            part
            if sources[part.source] == 1
            else open_corpus(uri, replace(options, source=_longer_name(part)))
            for uri, part in zip(uris, parts, strict=True)
        ]
    )


def _longer_name(part: Corpus) -> str:
    """The folder above and its own: `train-photos`."""
    return "-".join(part.root.rstrip("/").rpartition("://")[2].strip("/").split("/")[-2:])
