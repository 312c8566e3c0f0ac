"""Exporting some pairs of a run: those whose record ids stand in a file."""

from __future__ import annotations

from pipeline.storage.errors import MissingFile
from pipeline.storage.files import read_bytes
from schemas.errors import ConfigError


def read_pairs(path: str, *, option: str = "pairs") -> frozenset[str]:
    """The record ids in a text file, one a line.

    Args:
        path: The file, with or without a byte order mark.
        option: That names it, for errors.

    Raises:
        ConfigError: it is not there, is not UTF-8 text, or names none.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except MissingFile as error:
        raise ConfigError(f"{option} {path!r} does not exist") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option} {path!r} is not UTF-8 text: {error}") from error
    # Not `splitlines`: an id may hold what Unicode takes for the end of a line.
    found = frozenset(line for line in text.replace("\r\n", "\n").split("\n") if line.strip())
    if not found:
        raise ConfigError(f"{option} {path!r} names no record id; it must hold one a line")
    return found
