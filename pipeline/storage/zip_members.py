"""Zip archives as folders: `archive.zip#folder/member`, on a disk or in a store."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

from fsspec.implementations.zip import ZipFileSystem

_READ_ERRORS = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError)


class ZipMembers(ZipFileSystem):  # type: ignore[misc]
    """Members of one archive, for reading. What is wrong with a member is an OSError."""

    cachable = False

    def __init__(self, archive: Any, where: str) -> None:
        """`archive` is a readable stream, `where` its name in messages.

        Raises:
            OSError: it is not a zip archive.
        """
        self._where = where
        try:
            super().__init__(archive, mode="r")
        except _READ_ERRORS as error:
            raise OSError(f"{where} is not a readable zip archive: {error}") from error

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """The bytes of a member."""
        try:
            return bytes(super().cat_file(path, start, end))
        except _READ_ERRORS as error:
            raise OSError(f"{self._where}#{path} cannot be read: {error}") from error

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """A member as a stream."""
        try:
            return super().open(path, mode)
        except _READ_ERRORS as error:
            raise OSError(f"{self._where}#{path} cannot be read: {error}") from error
