"""Whole files of the layers beside the annotations, on a file system or an object store."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import DataError


def write_file(url: str, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing: rename, or one PUT."""
    filesystem, path = url_to_fs(url)
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, data)
        return
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    staged = os.path.join(folder, f".{os.path.basename(path)}.{uuid.uuid4().hex}")
    try:
        with open(staged, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(staged, path)
    except BaseException:
        if os.path.exists(staged):
            os.unlink(staged)
        raise


def read_file(url: str) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: the file does not exist.
    """
    filesystem, path = url_to_fs(url)
    try:
        return bytes(filesystem.cat_file(path))
    except FileNotFoundError as error:
        raise DataError(f"{url} does not exist") from error


def has_file(url: str) -> bool:
    """True where the file exists."""
    filesystem, path = url_to_fs(url)
    return bool(filesystem.isfile(path))


def list_files(url: str, *, suffix: str) -> list[str]:
    """Names of the files directly in a folder, sorted; none where the folder is missing."""
    filesystem, path = url_to_fs(url)
    try:
        found = filesystem.ls(path, detail=False, refresh=True)
    except FileNotFoundError:
        return []
    names = (str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in found)
    return sorted(name for name in names if name.endswith(suffix) and not name.startswith("."))


def remove_other_files(url: str, keep: Collection[str], *, suffix: str) -> list[str]:
    """Delete the files of a folder that are not to be kept; returns their names."""
    filesystem, path = url_to_fs(url)
    gone = [name for name in list_files(url, suffix=suffix) if name not in keep]
    for name in gone:
        filesystem.rm_file(f"{path}/{name}")
    return gone
