"""Lines of JSON: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.corpus.rows.entry import MAX_ROW_BYTES, UTF16, Entry, past_line, text_of

_MAX_BLANK = 10_000_000
"""A packed file may hold so many in a kilobyte."""
_LOST = "what follows is not read"
BOM = b"\xef\xbb\xbf"


def json_lines(stream: BinaryIO, start: int, stop: int | None) -> Iterator[Entry]:
    """The lines that begin in [start, stop); blank ones are left out."""
    stream.seek(start)
    offset = start
    blank = 0
    while stop is None or offset < stop:
        line = stream.readline(MAX_ROW_BYTES + 1)
        if not line:
            return
        here, offset = offset, offset + len(line)
        if len(line) > MAX_ROW_BYTES:
            offset += past_line(stream, line)
            problem = f"line at byte {here} is longer than {MAX_ROW_BYTES:,} bytes"
            yield Entry(here, None, problem)
        elif not line.strip():
            blank += 1
            if blank > _MAX_BLANK:
                yield Entry(here, None, f"{_MAX_BLANK:,} blank lines before byte {here}: {_LOST}")
                return
        else:
            try:
                yield Entry(here, _object(line))
            except ValueError as error:
                yield Entry(here, None, f"line at byte {here}: {error}")


def _object(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValueError: with the reason in words.
    """
    if line.startswith(UTF16):
        raise ValueError("the file is UTF-16; save it as UTF-8")
    try:
        row = json.loads(text_of(line.removeprefix(BOM)))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error
    if not isinstance(row, dict):
        raise ValueError(f"must be a JSON object, got {type(row).__name__}")
    return row
