"""Corpora whose captions are lines of JSON beside the images: one object a line.

Units are ranges of bytes that begin and end at line starts.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, ClassVar, cast

from pipeline.corpus.corpus import WHOLE_FILE, Corpus, Part
from pipeline.corpus.field_names import CAPTIONS, choose_field, not_taken
from pipeline.corpus.image_paths import resolve_image
from pipeline.corpus.options import CorpusOptions
from pipeline.storage.files import open_file
from schemas.errors import ConfigError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status
from schemas.redaction import redact

LINES = "lines"
"""Kind of a unit of line starts in a byte range."""
MAX_LINE_BYTES = 16 * 2**20
_PEEKED_LINES = 50
_READ_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class JsonLinesCorpus(Corpus):
    """Lines of JSON; the formats differ in the names of images and ids."""

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
            raise ConfigError(f"{where} holds no line that is a JSON object")
        # In the order of the rows: a field that only some rows have counts too.
        present = list(dict.fromkeys(name for row in rows for name in row))
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
                    f"rows have {', '.join(present)}: choose one with {option}"
                )
            fields.append(found)
        self.image_field, self.caption_field = fields
        self.id_field = self._choose_id(present, where)
        self.explanation = (
            f"{len(files):,} file(s) of JSON lines; image from {self.image_field!r}, caption from "
            f"{self.caption_field!r}, id from {self.id_field or 'the position'!r}"
            f"{not_taken(self.caption_field, options.caption_field, present)}"
        )

    def fingerprint(self) -> dict[str, object]:
        """With the fields that were found."""
        return super().fingerprint() | {
            "image_field": self.image_field,
            "caption_field": self.caption_field,
            "id_field": self.id_field,
        }

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
        """Each line's byte offset with its records; blank lines have none."""
        stop = None if unit.kind == WHOLE_FILE else unit.stop
        with _open_lines(unit.uri) as stream:
            offset = unit.start
            try:
                stream.seek(offset)
                while stop is None or offset < stop:
                    line = stream.readline(MAX_LINE_BYTES + 1)
                    if not line:
                        return
                    start, offset = offset, offset + len(line)
                    if len(line) > MAX_LINE_BYTES:
                        offset = _skip_line(stream, offset, line)
                        detail = f"line at byte {start} is longer than {MAX_LINE_BYTES:,} bytes"
                        yield start, [self._broken(unit.uri, f"@{start}", detail)]
                    elif line.strip():
                        yield start, list(self._records(unit.uri, start, line))
            except _READ_ERRORS as error:
                detail = f"damaged gzip data behind byte {offset}: {error}"
                yield offset, [self._broken(unit.uri, f"@{offset}", detail)]

    def _records(self, uri: str, offset: int, line: bytes) -> Iterator[CorpusRecord]:
        try:
            row = _parse(line)
        except ValueError as error:
            yield self._broken(uri, f"@{offset}", f"line at byte {offset}: {error}")
            return
        folder = self.options.image_root or uri.rpartition("/")[0]
        image_uri, problem = resolve_image(
            row.get(self.image_field), folder, inside=self.images_inside
        )
        key = self._key(row, offset)
        if key is None:
            problem = (
                Status.RECORD_INVALID,
                f"line at byte {offset} has no usable {self.id_field!r}: "
                f"{row.get(self.id_field or '')!r:.80}",
            )
            key = f"@{offset}"
        yield from self._pairs(
            self._row_id(uri, key),
            row.get(self.caption_field),
            image_uri=image_uri,
            error=problem,
        )

    def _key(self, row: dict[str, Any], offset: int) -> str | None:
        if self.id_field is None:
            image = str(row.get(self.image_field) or "")
            if image.startswith(("/", "file:")):  # of one machine: an id is of the corpus
                image = image.rpartition("/")[2]
            # Ids are in markers and reports: a signed URL must not be in them.
            return f"{redact(image)[:200]}@{offset}"
        value = row.get(self.id_field)
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
        rows: list[dict[str, Any]] = []
        for file in files:
            with _open_lines(file.uri) as stream, suppress(*_READ_ERRORS):
                for _ in range(_PEEKED_LINES):
                    line = stream.readline(MAX_LINE_BYTES)
                    if not line:
                        break
                    # A broken line is a row with a reason later; here only names are wanted.
                    with suppress(ValueError):
                        rows.append(_parse(line))
            if rows:
                break
        return rows


def is_gzip(uri: str) -> bool:
    """True for a compressed file of lines."""
    return uri.endswith(".gz")


def _parse(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValueError: with the reason in words.
    """
    try:
        # Bytes that are not UTF-8 become marks in the text: only the field that holds them suffers.
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error
    if not isinstance(row, dict):
        raise ValueError(f"must be a JSON object, got {type(row).__name__}")
    return row


@contextmanager
def _open_lines(uri: str) -> Iterator[BinaryIO]:
    with open_file(uri) as raw:
        if is_gzip(uri):
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast("BinaryIO", unpacked)
        else:
            yield raw


def _skip_line(stream: BinaryIO, offset: int, line: bytes) -> int:
    while line and not line.endswith(b"\n"):
        line = stream.readline(MAX_LINE_BYTES)
        offset += len(line)
    return offset


def _mark(record_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(record_id.encode(), digest_size=8).digest())
