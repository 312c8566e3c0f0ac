"""Which reader a file of rows has, by the end of its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pipeline.corpus.rows.delimited import delimited
from pipeline.corpus.rows.entry import MAX_ROW_BYTES, Entry, text_of
from pipeline.corpus.rows.json_entries import json_entries
from pipeline.corpus.rows.json_lines import BOM, json_lines

JSONL_ENDINGS = (".jsonl", ".ndjson")
TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".token")
JSON_ENDINGS = (".json",)
RowReader = Callable[[BinaryIO, int, int | None], Iterator[Entry]]


def packed(endings: tuple[str, ...]) -> tuple[str, ...]:
    """`endings` and the same of compressed files."""
    return (*endings, *(f"{ending}.gz" for ending in endings))


def reader_of(uri: str, stream: BinaryIO) -> RowReader:
    """The reader of a file, by its name; lines of JSON in a `.json` are known by the first."""
    name = uri.lower().removesuffix(".gz")
    if name.endswith(TABLE_ENDINGS):
        return delimited
    if name.endswith(JSON_ENDINGS) and not _is_lines(stream):
        return json_entries
    return json_lines


def _is_lines(stream: BinaryIO) -> bool:
    """True where the first line is a whole object and another one follows."""
    first = stream.readline(MAX_ROW_BYTES).removeprefix(BOM)
    try:
        is_object = isinstance(json.loads(text_of(first)), dict)
    except (ValueError, RecursionError):
        return False
    return is_object and stream.readline(MAX_ROW_BYTES).lstrip().startswith(b"{")
