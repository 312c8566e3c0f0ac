"""A file or folder at one address: what can be asked of it, wherever it is.

`local_place.py` and `store_place.py` are the two bodies; `files.py` finds the right one by a URL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import BinaryIO

from schemas.plan import InputFile


class Place(ABC):
    """One address, taken apart once. Nothing is read before it is asked for.

    Errors are those of the file system or the store; `errors.explained` says them.
    """

    def __init__(self, url: str, path: str) -> None:
        """`url` as it was given, `path` as its file system has it."""
        self.url = url
        self.path = path

    @abstractmethod
    def stat(self) -> InputFile:
        """Size and version of a file."""

    @abstractmethod
    def exists(self) -> bool:
        """True where a file or a folder is there."""

    @abstractmethod
    def is_folder(self) -> bool:
        """True for a folder; in an object store, where names begin with it."""

    @abstractmethod
    def read(self, start: int | None, stop: int | None) -> bytes:
        """The whole file, or its bytes [start, stop); fewer where it ends before `stop`."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """A seekable, buffered reader."""

    @abstractmethod
    def children(self) -> tuple[list[InputFile], list[str]]:
        """Files directly in a folder, and the URLs of its folders; sorted."""

    @abstractmethod
    def matches(self) -> list[InputFile]:
        """The files that the address matches as a glob pattern, sorted by name."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write the file whole, or replace it."""

    @abstractmethod
    def create(self, data: bytes) -> bool:
        """Write the file only where none is; False, and nothing changed, where one is there."""

    @abstractmethod
    def remove(self) -> None:
        """Delete the file.

        Raises:
            FileNotFoundError: it is gone.
        """


def join_url(base: str, *parts: str) -> str:
    """`base` and `parts` with one `/` between them."""
    return "/".join([base.rstrip("/") or base, *(part.strip("/") for part in parts if part)])
