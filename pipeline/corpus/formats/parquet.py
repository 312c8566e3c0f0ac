"""Parquet files with a caption column and image bytes, `{bytes, path}` structs, paths or URLs.

Units are ranges of row groups. Ids are row numbers of the file, or a column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.corpus import WHOLE_FILE, Corpus, Part
from pipeline.corpus.field_names import (
    IMAGE_PATHS,
    choose_field,
    field_value,
    listed,
    not_taken,
    require_field,
)
from pipeline.corpus.formats.parquet_captions import (
    choose_caption,
    column_of,
    find_captions,
    named,
)
from pipeline.corpus.formats.parquet_columns import (
    class_names,
    find_image_columns,
    has_repeats,
    image_kind,
    open_parquet,
    read_group,
    repeated_columns,
    without_unreadable,
)
from pipeline.corpus.image_paths import resolve_image
from pipeline.corpus.options import CorpusOptions
from pipeline.storage.errors import MissingFile
from pipeline.storage.parquet_cell import image_in_cell, is_encoded
from schemas.errors import ConfigError, UnitError, reason_of
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status

ROW_GROUPS = "row-groups"
"""Kind of a unit of row groups."""
ROWS_PER_BATCH = 1
"""Images that are unpacked at once: a small file may hold one of a hundred megabytes, often."""
IMAGE_TYPES = "bytes, a struct with bytes, a list of uint8, base64, or a path or URL"
_LOOKED_AT = 256
_STATUS_FIELDS = ("status", "error_message")


class ParquetCorpus(Corpus):
    """Record id: `source/file/row number`, or `source/file/id`."""

    format = "parquet"
    max_files_divided: ClassVar[int] = 1024

    def __init__(
        self, uri: str, root: str, files: tuple[InputFile, ...], options: CorpusOptions
    ) -> None:
        """Find the columns in the first readable file.

        Raises:
            ConfigError: no caption or image column is found, or a chosen one is not there.
        """
        super().__init__(uri, root, files, options)
        schema, where = _first_schema(files)
        images = find_image_columns(schema)
        if not images and options.image_field is None:
            there = listed([f"{one.name!r} ({one.type})" for one in schema], quoted=False)
            raise ConfigError(
                f"{where} has no column that looks like an image: images are {IMAGE_TYPES}, text "
                f"in a column of a usual name ({', '.join(IMAGE_PATHS)}). There is: {there}. "
                "Choose another with image_field"
            )
        self.image_field = require_field(
            options.image_field,
            images,
            schema.names if options.image_field else images,
            option="image_field",
            where=f"{where} (columns {listed(schema.names, quoted=False)})",
        )
        if several := repeated_columns(schema, [self.image_field], where):
            raise ConfigError(several)
        kind = image_kind(schema.field(self.image_field).type)
        if kind is None:
            raise ConfigError(self._no_image_type(schema, where))
        self.caption_field = self.image_field  # not read
        if options.captions != "none":
            self.caption_field = choose_caption(schema, options.caption_field, where)
        self.id_field = choose_field(
            options.id_field, (), schema.names, option="id_field", where=where
        )
        caption = column_of(self.caption_field, schema)
        if several := repeated_columns(schema, [caption, self.id_field], where):
            raise ConfigError(several)
        caption, others = "not read", ""
        if options.captions != "none":
            caption = f"from {self.caption_field!r}"
            others = not_taken(self.caption_field, options.caption_field, schema.names)
        self.explanation = (
            f"{len(files):,} Parquet file(s); image {kind} from {self.image_field!r}, caption "
            f"{caption}, id from {self.id_field or 'the row number'!r}{others}"
        )

    def fingerprint(self) -> dict[str, object]:
        """With the columns that were found."""
        return super().fingerprint() | {
            "image_field": self.image_field,
            "caption_field": self.caption_field,
            "id_field": self.id_field,
        }

    def _caption_of(self, schema: pa.Schema) -> str:
        """The corpus' field, or another usual one in a file that was written otherwise."""
        if self.options.captions == "none" or self.options.caption_field is not None:
            return self.caption_field
        if column_of(self.caption_field, schema) in schema.names:
            return self.caption_field
        return next(iter(find_captions(schema)), self.caption_field)

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        with open_parquet(unit.uri) as file:
            caption = self._caption_of(file.schema_arrow)
            columns = self._columns(file.schema_arrow, unit.uri, caption)
            if several := repeated_columns(file.schema_arrow, columns, unit.uri):
                raise UnitError(several)
            kind = image_kind(file.schema_arrow.field(self.image_field).type)
            if kind is None:
                raise UnitError(self._no_image_type(file.schema_arrow, unit.uri))
            groups = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
            stop = len(groups) if unit.kind == WHOLE_FILE else unit.stop
            first_row = sum(groups[: unit.start])
            for group in range(unit.start, stop):
                yield from self._read_group(unit.uri, file, group, first_row, columns, caption)
                first_row += groups[group]

    def _read_group(
        self,
        uri: str,
        file: pq.ParquetFile,
        group: int,
        first_row: int,
        columns: list[str],
        caption: str,
    ) -> Iterator[CorpusRecord]:
        kind = image_kind(file.schema_arrow.field(self.image_field).type) or ""
        names = class_names(file.schema_arrow, caption)
        num_rows = file.metadata.row_group(group).num_rows
        done = 0
        try:
            for found in read_group(file, group, columns, ROWS_PER_BATCH):
                row, unreadable = without_unreadable(found)
                said = named(field_value(row, caption), names)
                yield from self._records(uri, first_row + done, row, said, kind, unreadable)
                done += 1
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            # The footer says how many rows there are: each of them stays a row.
            bad = range(first_row + done, first_row + num_rows)
            reason = reason_of(error)
            detail = f"row group {group} cannot be read from row {bad.start} on: {reason}"
            for row_number in bad:
                yield self._broken(uri, _row_key(row_number), detail)

    def _records(
        self,
        uri: str,
        row_number: int,
        row: dict[str, Any],
        caption: Any,
        kind: str,
        unreadable: str,
    ) -> Iterator[CorpusRecord]:
        key = _row_key(row_number)
        image_bytes, image_uri, problem = self._image(uri, row_number, row, kind)
        if unreadable:
            problem = (Status.RECORD_INVALID, f"row {row_number}: {unreadable}")
        if self.id_field is not None:
            value = row[self.id_field]
            if isinstance(value, bytes):
                value = value.decode("utf-8", "backslashreplace")
            if isinstance(value, str | int | UUID) and not isinstance(value, bool) and value != "":
                key = str(value)
            elif not unreadable:
                detail = f"row {row_number} has no usable {self.id_field!r}: {value!r:.80}"
                problem = (Status.RECORD_INVALID, detail)
        yield from self._pairs(
            self._id(uri, key),
            caption,
            image_bytes=image_bytes,
            image_uri=image_uri,
            error=problem,
        )

    def _image(
        self, uri: str, row_number: int, row: dict[str, Any], kind: str
    ) -> tuple[bytes | None, str | None, tuple[Status, str] | None]:
        value = row[self.image_field]
        if isinstance(value, list) and len(value) > 1 and not isinstance(value[0], int):
            detail = f"row {row_number} holds {len(value)} images; a pair has one"
            return None, None, (Status.RECORD_INVALID, detail)
        if kind == "paths" and isinstance(value, list):
            kind, value = "path", value[0] if value else None
        if (found := image_in_cell(value)) is not None and (kind != "path" or found != value):
            return found, f"{uri}#{row_number}/{self.image_field}", None
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else None
        if isinstance(value, dict):
            kind, value = "path", value.get("path")
        if kind == "path" and isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")  # no UTF-8: named as no valid text
        if value and is_encoded(_text(value)[:_LOOKED_AT]):
            return None, None, (Status.IMAGE_CORRUPT, f"row {row_number} holds damaged base64")
        if not value:
            detail = f"row {row_number} holds no image"
            said = [_text(row[name]) for name in _STATUS_FIELDS if row.get(name)]
            if said and said[0] != "success":
                detail = f"{detail}: {': '.join(said)}"
            return None, None, (Status.IMAGE_MISSING, detail)
        folder = self.options.image_root or uri.rpartition("/")[0] or "."
        image_uri, problem = resolve_image(value, folder, inside=False)
        return None, image_uri, problem

    def _no_image_type(self, schema: pa.Schema, where: str) -> str:
        return (
            f"image_field {self.image_field!r} of {where} has the type "
            f"{schema.field(self.image_field).type}; images are {IMAGE_TYPES}"
        )

    def _columns(self, schema: pa.Schema, uri: str, caption: str) -> list[str]:
        wanted = [self.image_field, column_of(caption, schema)]
        if self.id_field is not None:
            wanted.append(self.id_field)
        missing = [name for name in wanted if name not in schema.names]
        if missing:
            there = listed(schema.names, quoted=False)
            raise UnitError(f"{uri} has no column {listed(missing)}; it has {there}")
        extra = [name for name in _STATUS_FIELDS if schema.names.count(name) == 1]
        return list(dict.fromkeys([*wanted, *extra]))

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        whole = [Part(WHOLE_FILE, 0, file.size, -1)]
        try:
            with open_parquet(file.uri) as table:
                rows = [table.metadata.row_group(g).num_rows for g in range(table.num_row_groups)]
                schema = table.schema_arrow
                caption = column_of(self._caption_of(schema), schema)
                if not rows or caption not in schema.names:
                    return whole
                if self.id_field is not None and has_repeats(table, self.id_field):
                    return whole
        except UnitError:
            return whole  # reading the unit fails with the reason; the others go on
        parts: list[Part] = []
        start = count = 0
        for group, num_rows in enumerate(rows):
            if count and count + num_rows > records_per_unit:
                parts.append(Part(ROW_GROUPS, start, group, count))
                start, count = group, 0
            count += num_rows
        parts.append(Part(ROW_GROUPS, start, len(rows), count))
        kind = schema.field(caption).type
        if self.options.captions == "all" and not (
            pa.types.is_string(kind) or pa.types.is_large_string(kind)
        ):
            parts = [Part(part.kind, part.start, part.stop, -1) for part in parts]
        return parts


def _row_key(row_number: int) -> str:
    return f"{row_number:08d}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _first_schema(files: tuple[InputFile, ...]) -> tuple[pa.Schema, str]:
    reason: Exception | None = None
    for file in files:
        try:
            with open_parquet(file.uri) as table:
                return table.schema_arrow, file.uri
        except MissingFile:
            raise
        except UnitError as error:
            reason = error
    raise ConfigError(f"none of {len(files)} Parquet file(s) can be read: {reason}")
