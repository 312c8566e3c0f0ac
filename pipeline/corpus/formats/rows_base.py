"""Corpora whose captions are rows of a file beside the images: JSON lines, JSON, CSV and its kin.

Units are ranges of bytes that begin at rows.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, ClassVar

from pipeline.corpus.corpus import WHOLE_FILE, Corpus, Part
from pipeline.corpus.field_names import (
    CAPTIONS,
    choose_field,
    field_value,
    fields_of,
    listed,
    not_taken,
)
from pipeline.corpus.image_paths import find_folder, image_name, resolve_image
from pipeline.corpus.options import CorpusOptions
from pipeline.corpus.rows.entry import Entry, is_gzip, open_rows
from pipeline.corpus.rows.kinds import TABLE_ENDINGS, packed, reader_of
from pipeline.storage.inflation import GZIP_ERRORS, gzip_reason
from schemas.errors import ConfigError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status
from schemas.redaction import redact

LINES = "lines"
"""Kind of a unit of rows that begin in a byte range."""
_PEEKED_ROWS = 50
_LOOKED_AT = 10_000
"""Entries in which a row that can be read is looked for."""
_SHARED = 0.6
"""Where so few of a table's first rows name an image of their own, its rows are captions."""


class RowsCorpus(Corpus):
    """Rows; the formats differ in the names of images and ids."""

    usual_images: ClassVar[tuple[str, ...]]
    images_inside: ClassVar[bool]
    """True where image paths must stay below the folder of their file."""

    def __init__(
        self, uri: str, root: str, files: tuple[InputFile, ...], options: CorpusOptions
    ) -> None:
        """Look at the first rows for the names of the fields.

        Raises:
            ConfigError: no caption or image field is found, or a chosen one is not there.
        """
        super().__init__(uri, root, files, options)
        rows = self._first_rows(files)
        where = f"{files[0].uri}" if len(files) == 1 else f"the first rows of {uri}"
        if not rows:
            raise ConfigError(
                f"{where} holds no row that is an object with fields{self._why(files)}"
            )
        # In the order of the rows: a field that only some rows have counts too.
        present = list(dict.fromkeys(name for row in rows for name in fields_of(row)))
        wanted = (
            ("image_field", options.image_field, self.usual_images),
            ("caption_field", options.caption_field, CAPTIONS),
        )
        fields = []
        for option, name, usual in wanted:
            found = choose_field(name, usual, present, option=option, where=where)
            if found is None and option == "caption_field" and options.captions == "none":
                found = ""
            if found is None:
                raise ConfigError(
                    f"{where}: no {option.removesuffix('_field')} among {', '.join(usual)}; the "
                    f"rows have {listed(present, quoted=False)}: choose one with {option}"
                )
            fields.append(found)
        self.image_field, self.caption_field = fields
        self.id_field = self._choose_id(present, where)
        names = [str(image_name(row, self.image_field)) for row in rows]
        is_table = files[0].uri.lower().endswith(packed(TABLE_ENDINGS))
        self.images_repeat = is_table and len(set(names)) <= _SHARED * len(names)
        self.image_below = ""
        if not options.image_root and not self.images_inside:
            self.image_below = find_folder(_folder(files[0].uri), names)
        below = f" below {self.image_below!r}" if self.image_below else ""
        self.explanation = (
            f"{len(files):,} file(s) of rows; image from {self.image_field!r}{below}, caption "
            f"from {self.caption_field!r}, id from {self.id_field or 'the position'!r}"
            f"{not_taken(self.caption_field, options.caption_field, present)}"
        )

    def fingerprint(self) -> dict[str, object]:
        """With the fields that were found."""
        found: dict[str, object] = {
            "image_field": self.image_field,
            "caption_field": self.caption_field,
            "id_field": self.id_field,
        }
        if self.image_below:
            found["image_below"] = self.image_below
        return super().fingerprint() | found

    @abstractmethod
    def _choose_id(self, present: list[str], where: str) -> str | None:
        """The field that names a record; None: its image path and position do."""

    @abstractmethod
    def _row_id(self, uri: str, key: str) -> str:
        """The record id of a row of a file."""

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        for _, records in self._rows(unit):
            yield from records

    def _rows(self, unit: Unit) -> Iterator[tuple[int, list[CorpusRecord]]]:
        """Each row's byte offset with its records."""
        stop = None if unit.kind == WHOLE_FILE else unit.stop
        with open_rows(unit.uri) as stream:
            offset = unit.start
            try:
                reader = reader_of(unit.uri, stream)
                for entry in reader(stream, unit.start, stop):
                    offset = entry.start
                    yield offset, list(self._records(unit.uri, entry))
            except GZIP_ERRORS as error:
                detail = gzip_reason(error, f" behind byte {offset}")
                yield offset, [self._broken(unit.uri, f"@{offset}", detail)]

    def _records(self, uri: str, entry: Entry) -> Iterator[CorpusRecord]:
        if entry.row is None:
            yield self._broken(uri, f"@{entry.start}", entry.problem)
            return
        row, offset = entry.row, entry.start
        folder = self.options.image_root or _folder(uri)
        if self.image_below:
            folder = f"{folder}/{self.image_below}"
        image_uri, problem = resolve_image(
            image_name(row, self.image_field), folder, inside=self.images_inside
        )
        key = self._key(row, offset)
        if key is None:
            problem = (
                Status.RECORD_INVALID,
                f"row at byte {offset} has no usable {self.id_field!r}: "
                f"{field_value(row, self.id_field or '')!r:.80}",
            )
            key = f"@{offset}"
        yield from self._pairs(
            self._row_id(uri, key),
            field_value(row, self.caption_field),
            image_uri=image_uri,
            error=problem,
        )

    def _key(self, row: dict[str, Any], offset: int) -> str | None:
        if self.id_field is None:
            image = str(image_name(row, self.image_field) or "")
            if image.startswith(("/", "file:")):  # of one machine: an id is of the corpus
                image = image.rpartition("/")[2]
            # Ids are in markers and reports: a signed URL must not be in them.
            return f"{redact(image)[:200]}@{offset}"
        value = field_value(row, self.id_field)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            return None
        return str(value)

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        # Reading opens no image, so that one pass tells exact counts and ids that repeat.
        whole = [Part(WHOLE_FILE, 0, file.size, -1)]
        if is_gzip(file.uri):
            return whole
        unit = Unit(
            unit_id="", uri=file.uri, kind=WHOLE_FILE, start=0, stop=file.size, num_records=-1
        )
        parts: list[Part] = []
        start = count = 0
        seen: set[int] = set()
        for offset, records in self._rows(unit):
            if count >= records_per_unit:
                parts.append(Part(LINES, start, offset, count))
                start, count = offset, 0
            for record in records:
                mark = _mark(record.record_id)
                if mark in seen:
                    return whole
                seen.add(mark)
            count += len(records)
        return [*parts, Part(LINES, start, file.size, count)] if count else whole

    def _first_rows(self, files: tuple[InputFile, ...]) -> list[dict[str, Any]]:
        for file in files:
            if rows := first_rows(file.uri):
                return rows
        return []

    def _why(self, files: tuple[InputFile, ...]) -> str:
        """What the first entry says that cannot be read."""
        found = first_entry(files[0].uri)
        return f": {found.problem}" if found is not None and found.problem else ""


def first_rows(uri: str) -> list[dict[str, Any]]:
    """The rows among the first entries of a file; a broken one is a record with a reason later.

    Where all of those are broken, the first row behind them.
    """
    found: list[dict[str, Any]] = []
    for number, entry in enumerate(_entries(uri, _LOOKED_AT)):
        if number >= _PEEKED_ROWS and found:
            break
        if entry.row is not None:
            found.append(entry.row)
    return found


def first_entry(uri: str) -> Entry | None:
    """The first entry of a file, readable or not."""
    return next(_entries(uri, 1), None)


def _entries(uri: str, most: int) -> Iterator[Entry]:
    with open_rows(uri) as stream, suppress(*GZIP_ERRORS):
        yield from islice(reader_of(uri, stream)(stream, 0, None), most)


def _mark(record_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(record_id.encode(), digest_size=8).digest())


def _folder(uri: str) -> str:
    """Where the names in a file start from; of a bare name, here."""
    return uri.rpartition("/")[0] or "."
