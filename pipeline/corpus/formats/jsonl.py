"""Rows with an image path or URL and a caption each: JSON lines, a JSON array, CSV and its kin."""

from __future__ import annotations

from typing import ClassVar

from pipeline.corpus.field_names import IDS, IMAGE_PATHS, choose_field
from pipeline.corpus.formats.rows_base import RowsCorpus


class JsonlCorpus(RowsCorpus):
    """Record id: `source/file/id`, or `source/file/image@byte` where rows have no id."""

    format = "jsonl"
    usual_images: ClassVar[tuple[str, ...]] = IMAGE_PATHS
    images_inside = False

    def _choose_id(self, present: list[str], where: str) -> str | None:
        return choose_field(self.options.id_field, IDS, present, option="id_field", where=where)

    def _row_id(self, uri: str, key: str) -> str:
        return self._id(uri, key)


class TableCorpus(JsonlCorpus):
    """Rows of CSV, TSV and the like."""

    format = "csv"


class JsonCorpus(JsonlCorpus):
    """Entries of a JSON array."""

    format = "json"
