"""A file or folder of this machine. A write is staged beside it, synced, and given its name."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from pathlib import Path
from typing import BinaryIO

from pipeline.storage.exclusive import place_exclusively
from pipeline.storage.place import Place, join_url
from schemas.atomic import beside, sync_folder, write_synced, write_whole
from schemas.errors import ConfigError
from schemas.plan import InputFile

_SPECIAL = {
    stat.S_IFIFO: "named pipe",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}


def special_kind(mode: int) -> str:
    """What a path is by its mode where it is neither a file nor a folder; else empty."""
    return _SPECIAL.get(stat.S_IFMT(mode), "")


def refuse_special(path: str | Path) -> None:
    """Pass where a file, a folder or nothing is.

    Raises:
        ConfigError: a pipe or a device is there, which may never begin or never end.
    """
    with contextlib.suppress(FileNotFoundError):
        if kind := special_kind(os.stat(path).st_mode):
            raise ConfigError(f"{path} is a {kind}, not a file")


class LocalPlace(Place):
    """A path, absolute."""

    def stat(self) -> InputFile:
        """As `Place.stat`."""
        found = os.stat(self.path)
        if not os.path.isfile(self.path):
            raise FileNotFoundError(f"{self.url} is not a file")
        return _input_file(self.url, found)

    def exists(self) -> bool:
        """As `Place.exists`."""
        return os.path.exists(self.path)

    def is_folder(self) -> bool:
        """As `Place.is_folder`."""
        return os.path.isdir(self.path)

    def read(self, start: int | None, stop: int | None) -> bytes:
        """As `Place.read`."""
        with self.open() as stream:
            if start is None and stop is None:
                return stream.read()
            stream.seek(start or 0)
            return stream.read(-1 if stop is None else max(0, stop - (start or 0)))

    def open(self) -> BinaryIO:
        """As `Place.open`; a pipe or a device is refused."""
        refuse_special(self.path)
        return open(self.path, "rb")

    def children(self) -> tuple[list[InputFile], list[str]]:
        """As `Place.children`."""
        files, folders = [], []
        with os.scandir(self._said) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                uri = join_url(self._said, entry.name)
                with contextlib.suppress(OSError):  # a link in a circle is as one to nowhere
                    if entry.is_dir():
                        folders.append(uri)
                    elif entry.is_file():
                        files.append(_input_file(uri, entry.stat()))
        return files, folders

    def matches(self) -> list[InputFile]:
        """As `Place.matches`."""
        names = sorted(glob.glob(self._said, recursive=True))
        return [_input_file(name, os.stat(name)) for name in names if os.path.isfile(name)]

    def write(self, data: bytes) -> None:
        """As `Place.write`."""
        write_whole(Path(self.path), data)

    def create(self, data: bytes) -> bool:
        """As `Place.create`, by a hard link."""
        target = Path(self.path)
        with beside(target) as staged:
            write_synced(staged, data)
            if not place_exclusively(staged, target):
                return False
            sync_folder(target.parent)
            return True

    def remove(self) -> None:
        """As `Place.remove`."""
        os.remove(self.path)

    @property
    def _said(self) -> str:
        """The path as it was given: names in it are listed that way."""
        return self.path if self.url.startswith("file://") else self.url


def _input_file(uri: str, found: os.stat_result) -> InputFile:
    return InputFile(uri=uri, size=found.st_size, etag=f"mtime:{found.st_mtime_ns}")
