"""What every corpus offers: its input files, its units of work, and the records of a unit."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.corpus.captions import list_captions, read_caption, too_many
from pipeline.corpus.options import CorpusOptions
from pipeline.corpus.planned_files import require_unchanged
from pipeline.corpus.record_ids import (
    SharedNames,
    record_id,
    shard_name,
    unit_id,
    with_unique_ids,
)
from pipeline.images.access import ImageAccess
from schemas.errors import ConfigError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status

RECORDS_PER_UNIT = 512
WHOLE_FILE = "file"
"""Kind of a unit that is one whole input file; `start` and `stop` are 0 and its size."""
SPLIT_FACTOR = 4
"""In a corpus of many files only those so many times larger than the median are divided."""
SPLIT_MIN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a file, as a reader divides it; `num_records` is -1 where only reading tells."""

    kind: str
    start: int
    stop: int
    num_records: int


class Corpus(ABC):
    """A captioned corpus, read-only.

    format: the name of the kind, as in `CorpusOptions.format`.
    explanation: one line on what was found, for people.
    """

    format: ClassVar[str]
    max_files_divided: ClassVar[int] = 4096
    """With more files than this only the large ones are opened to plan: planning stays quick."""

    def __init__(
        self, uri: str, root: str, files: tuple[InputFile, ...], options: CorpusOptions
    ) -> None:
        """`root` is the folder that record ids and shard names start below."""
        self.uri = uri
        self.root = root
        self.options = options
        folder = root.rstrip("/").rpartition("/")[2]
        self.source = options.source or folder.removesuffix(".zip#") or "corpus"
        self.explanation = ""
        self._files: tuple[InputFile, ...] | None = files
        self._names = SharedNames.among(self._name(file.uri) for file in files)

    def __getstate__(self) -> dict[str, Any]:
        # Workers read units; the list of a hundred thousand files stays with the driver.
        return self.__dict__ | {"_files": None}

    @property
    def access(self) -> ImageAccess:
        """What the records may make this machine read."""
        root = self.options.image_root or self.root
        return ImageAccess(untrusted=self.options.untrusted, root=root)

    def inputs(self) -> tuple[InputFile, ...]:
        """The files that hold the pairs, sorted by name, with size and version."""
        if self._files is None:
            raise RuntimeError("a corpus that was sent to a worker reads units, it lists no files")
        return self._files

    def units(self, records_per_unit: int = RECORDS_PER_UNIT) -> tuple[Unit, ...]:
        """The whole corpus in units of about `records_per_unit` records, in file order.

        A function of the input files alone. A file that cannot be divided, or not be read at all,
        is one unit.

        Raises:
            ConfigError: `records_per_unit` is not positive, or two files have one name.
        """
        if records_per_unit < 1:
            raise ConfigError(f"records_per_unit must be at least 1, got {records_per_unit}")
        files = self.inputs()
        divided = self._to_divide(files)
        units = [
            Unit(
                unit_id=unit_id(self._relative(file.uri), part.start),
                uri=file.uri,
                kind=part.kind,
                start=part.start,
                stop=part.stop,
                num_records=part.num_records,
                file=file,
            )
            for file in files
            for part in (
                self._divide(file, records_per_unit)
                if file.uri in divided
                else [Part(WHOLE_FILE, 0, file.size, -1)]
            )
        ]
        ids = {unit.unit_id for unit in units}
        if len(ids) != len(units):
            raise ConfigError(f"{self.uri}: two input files have the same path below {self.root}")
        return tuple(units)

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit, in file order, with ids that are unique in it.

        A record that cannot be used is yielded with its `error`; it never raises for one record.

        Raises:
            UnitError: the file is gone, cannot be read at all, or is not the one of the plan.
        """
        if unit.file is not None:
            require_unchanged(unit.file)
        yield from with_unique_ids(self._read(unit))

    def fingerprint(self) -> dict[str, object]:
        """Everything besides the files that changes the records."""
        return {"format": self.format, "source": self.source} | {
            name: value
            for name, value in self.options.as_dict().items()
            if name not in ("format", "source")
        }

    # --- what a format writes ------------------------------------------------------------------

    @abstractmethod
    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit; ids may repeat."""

    @abstractmethod
    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        """Ranges of a file. Ids that repeat in it must fall into one range."""

    # --- what formats share --------------------------------------------------------------------

    def _relative(self, uri: str) -> str:
        prefix = self.root.rstrip("/") + "/"
        return uri[len(prefix) :] if uri.startswith(prefix) else uri

    def _name(self, uri: str) -> str:
        """What the records of a file are named below."""
        return shard_name(self._relative(uri))

    def _id(self, uri: str, key: str) -> str:
        name = self._name(uri)
        if self._names.reach(name, key):
            name = self._relative(uri)  # only the ending tells them apart
        return record_id(self.source, name, key)

    def _pairs(
        self,
        record: str,
        captions: Any,
        *,
        image_bytes: bytes | None = None,
        image_uri: str | None = None,
        error: tuple[Status, str] | None = None,
    ) -> Iterator[CorpusRecord]:
        """One record for each caption of an image; a list of captions numbers them `/0`, `/1`."""
        if self.options.captions == "none":
            yield CorpusRecord(
                record_id=record,
                caption=None,
                image_bytes=None if error else image_bytes,
                image_uri=image_uri,
                source=self.source,
                error=error,
            )
            return
        if (problem := too_many(captions, self.options.captions)) is not None:
            captions, error = None, error or problem
        is_list = isinstance(captions, list | tuple)
        for number, raw in enumerate(list_captions(captions, self.options.captions)):
            caption, problem = read_caption(raw, self.options.max_caption_chars)
            yield CorpusRecord(
                record_id=f"{record}/{number}" if is_list else record,
                caption=caption,
                # An image that lacks nothing but a caption may be given one.
                image_bytes=image_bytes if not error and _needs_caption(problem) else None,
                image_uri=image_uri,
                source=self.source,
                error=error or problem,
            )

    def _broken(self, uri: str, key: str, detail: str) -> CorpusRecord:
        """A record for a row that cannot be read."""
        return CorpusRecord(
            record_id=self._id(uri, key),
            caption=None,
            source=self.source,
            error=(Status.RECORD_INVALID, detail),
        )

    def _to_divide(self, files: tuple[InputFile, ...]) -> set[str]:
        if len(files) <= self.max_files_divided:
            least = SPLIT_MIN_BYTES
        else:
            least = int(SPLIT_FACTOR * statistics.median(file.size for file in files))
        return {file.uri for file in files if file.size >= max(least, SPLIT_MIN_BYTES)}


def _needs_caption(problem: tuple[Status, str] | None) -> bool:
    """Whether nothing is wrong with a pair, or nothing but that it has no caption."""
    return problem is None or problem[0] is Status.CAPTION_MISSING
