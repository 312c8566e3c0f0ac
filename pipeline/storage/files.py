"""Files by path or URL: read, list, write whole, create exclusively. Local disks and fsspec stores.

A write appears whole or not at all. `create_bytes` is the exclusive create that commits stand on:
a hard link on a file system, a conditional PUT on an object store.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO
from urllib.parse import quote, unquote_to_bytes, urlsplit

from pipeline.storage.errors import explained
from pipeline.storage.local_place import LocalPlace
from pipeline.storage.place import Place, join_url
from pipeline.storage.store_place import StorePlace, store_place
from pipeline.storage.zip_members import ZipMembers
from schemas.plan import InputFile

__all__ = [
    "create_bytes",
    "exists",
    "find_files",
    "is_folder",
    "is_local",
    "join_url",
    "list_folder",
    "local_path",
    "open_file",
    "place_of",
    "read_bytes",
    "remove",
    "stat_file",
    "text_url",
    "write_bytes",
    "zip_parts",
]

_ZIP_MARK = ".zip#"
"""Between an archive's name and that of a member."""


def zip_parts(url: str) -> tuple[str, str] | None:
    """The archive and the member that a URL names; None where it names no member of an archive."""
    at = url.lower().find(_ZIP_MARK)
    if at < 0:
        return None
    return url[: at + len(_ZIP_MARK) - 1], url[at + len(_ZIP_MARK) :].strip("/")


def is_local(url: str) -> bool:
    """True for a path and for a `file://` URL; False for a member of an archive."""
    if "://" in url and not url.startswith("file://"):
        return False
    return zip_parts(url) is None or os.path.isfile(local_path(url))


def local_path(url: str) -> str:
    """The path of a local `url`, made absolute."""
    if url.startswith("file://"):
        url = os.fsdecode(unquote_to_bytes(urlsplit(url).path))
    return os.path.abspath(url)


def text_url(url: str) -> str:
    """`url`; a path whose bytes are not text as a `file://` URL, which every table can hold."""
    try:
        url.encode()
        return url
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(local_path(url)))


def place_of(url: str) -> LocalPlace | StorePlace:
    """What is at a URL: a file or folder of this machine, of a store or of an archive.

    Raises:
        ConfigError: the scheme is not known.
        MissingDependency: the scheme needs a package that is not installed.
    """
    if is_local(url):
        return LocalPlace(url, local_path(url))
    if parts := zip_parts(url):
        archive = place_of(parts[0])
        tag = archive.stat().etag if isinstance(archive, LocalPlace) else ""
        return StorePlace(url, parts[1], _zip_members(parts[0], tag))
    return store_place(url)


@lru_cache(maxsize=8)
def _zip_members(archive: str, version: str) -> ZipMembers:
    return ZipMembers(open_file(archive), archive)


@contextlib.contextmanager
def _at(url: str) -> Iterator[Place]:
    """The place of a URL; what it raises is explained."""
    with explained(url):
        yield place_of(url)


def stat_file(url: str) -> InputFile:
    """Size and version of a file.

    Raises:
        MissingFile: there is no such file.
    """
    with _at(url) as place:
        return place.stat()


def exists(url: str) -> bool:
    """True where a file or a folder is there."""
    with _at(url) as place:
        return place.exists()


def is_folder(url: str) -> bool:
    """True where `url` is a folder; on an object store, where names begin with it."""
    with _at(url) as place:
        return place.is_folder()


def read_bytes(url: str, start: int | None = None, stop: int | None = None) -> bytes:
    """A whole file, or its bytes [start, stop); fewer where it ends before `stop`.

    Raises:
        MissingFile: there is no such file.
    """
    with _at(url) as place:
        return place.read(start, stop)


def open_file(url: str) -> BinaryIO:
    """A seekable, buffered reader; use it in a `with` block.

    Raises:
        MissingFile: there is no such file.
    """
    with _at(url) as place:
        return place.open()


def list_folder(url: str) -> tuple[list[InputFile], list[str]]:
    """Files directly in a folder, with size and version, and the URLs of its folders; sorted.

    Raises:
        MissingFile: there is no such folder.
    """
    with _at(url) as place:
        return place.children()


def find_files(pattern: str) -> list[InputFile]:
    """The files that a glob pattern matches, sorted by name."""
    with _at(pattern) as place:
        return place.matches()


def write_bytes(url: str, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing; an older one is replaced."""
    with _at(url) as place:
        place.write(data)


def create_bytes(url: str, data: bytes) -> bool:
    """Write a file only where none is; False, and nothing changed, where one is there.

    Of any number of writers at once exactly one gets True.

    Raises:
        ConfigError: the store has no exclusive create.
    """
    with _at(url) as place:
        return place.create(data)


def remove(url: str) -> None:
    """Delete a file; no error where it is gone."""
    with _at(url) as place, contextlib.suppress(FileNotFoundError):
        place.remove()
