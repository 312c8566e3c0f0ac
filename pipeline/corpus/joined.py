"""Several corpora as one: the units of all, each read as its own corpus reads it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline.corpus.corpus import RECORDS_PER_UNIT, Corpus
from pipeline.corpus.open import open_corpus
from pipeline.corpus.options import CorpusOptions
from pipeline.corpus.record_ids import shard_name
from pipeline.images.access import ImageAccess
from pipeline.storage.files import is_local, local_path
from schemas.errors import ConfigError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord

SEPARATOR = " + "
_NO_NAMES = ("", ".", "..")
_NOT_PLAIN = re.compile(r"[^\w.-]+")


class JoinedCorpus:
    """Corpora that are labelled in one run.

    Unit ids begin with the number of their corpus. Record ids begin with the name of the corpus'
    folder, or with the folder above as well where two have one name; two files of one folder give
    their own names.
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
    _require_apart(parts)
    sources = Counter(part.source for part in parts)
    return JoinedCorpus(
        [
            part
            if sources[part.source] == 1
            else open_corpus(uri, replace(options, source=_longer_name(part, parts)))
            for uri, part in zip(uris, parts, strict=True)
        ]
    )


def _require_apart(parts: Sequence[Corpus]) -> None:
    """Refuses a file that two corpora hold: its pairs would be labelled twice."""
    holders: dict[str, Corpus] = {}
    for part in parts:
        folders: dict[str, str] = {}
        for file in part.inputs():
            place = _one_spelling(file.uri, folders)
            if (other := holders.setdefault(place, part)) is not part:
                raise ConfigError(
                    f"--corpus {other.uri} and --corpus {part.uri} both hold {file.uri}: its pairs "
                    "would be labelled twice; give it once"
                )


def _one_spelling(uri: str, folders: dict[str, str]) -> str:
    """A file by the same name, however its folder is written: relative, linked, with `..`."""
    folder, _, name = uri.rpartition("/")
    if folder not in folders:
        is_path = is_local(uri) and "#" not in folder
        folders[folder] = os.path.realpath(local_path(folder or ".")) if is_path else folder
    return f"{folders[folder]}/{name}"


def _longer_name(part: Corpus, parts: Sequence[Corpus]) -> str:
    """The folder above and its own, `train-photos`; the file's where another is in its folder."""
    folders = [name for name in part.root.rpartition("://")[2].split("/") if name not in _NO_NAMES]
    if sum(other.root.rstrip("/") == part.root.rstrip("/") for other in parts) > 1:
        own = shard_name(part.uri.rstrip("/").rpartition("/")[2])
        return "-".join([*folders[-1:], _NOT_PLAIN.sub("_", own)])
    return "-".join(folders[-2:])
