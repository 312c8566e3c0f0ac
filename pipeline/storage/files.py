"""Files by path or URL: read, list, write whole, create exclusively. Local disks and fsspec stores.

A write appears whole or not at all. `create_bytes` is the exclusive create that commits stand on:
a hard link on a file system, a conditional PUT on an object store.
"""

from __future__ import annotations

import contextlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote, unquote_to_bytes, urlsplit

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from pipeline.storage.errors import explained
from pipeline.storage.exclusive import place_exclusively
from pipeline.storage.hub_files import SCHEME, hub_files
from pipeline.storage.zip_members import ZipMembers, zip_parts
from schemas.atomic import beside, sync_folder, write_synced, write_whole
from schemas.errors import ConfigError, MissingDependency
from schemas.plan import InputFile

_S3 = ("s3://", "s3a://")
_VERSIONS = ("ETag", "etag", "mtime", "LastModified", "created", "CRC", "blob_id")


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


def filesystem_of(url: str) -> tuple[AbstractFileSystem, str]:
    """The fsspec file system of a URL and the path in it.

    Raises:
        ConfigError: the scheme is not known.
        MissingDependency: the scheme needs a package that is not installed.
    """
    if is_local(url):
        return LocalFileSystem(), local_path(url)
    if parts := zip_parts(url):
        tag = stat_file(parts[0]).etag if is_local(parts[0]) else ""
        return _zip_members(parts[0], tag), parts[1]
    if url.startswith(_S3):
        # Ours, and nobody else's s3 of this process: fsspec's table is left alone.
        from pipeline.storage.s3_filesystem import S3FileSystem

        store = S3FileSystem()
        return store, str(store._strip_protocol(url))
    if url.startswith(SCHEME):
        return hub_files(url)
    try:
        filesystem, path = url_to_fs(url)
    except ImportError as error:
        raise MissingDependency(f"{url}: {error}") from error
    except ValueError as error:
        raise ConfigError(
            f"{url!r}: {error}; give a path, or a URL such as s3://bucket/key"
        ) from error
    return filesystem, path


@lru_cache(maxsize=8)
def _zip_members(archive: str, version: str) -> ZipMembers:
    return ZipMembers(open_file(archive), archive)


def join_url(base: str, *parts: str) -> str:
    """`base` and `parts` with one `/` between them."""
    return "/".join([base.rstrip("/") or base, *(part.strip("/") for part in parts if part)])


def stat_file(url: str) -> InputFile:
    """Size and version of a file.

    Raises:
        MissingFile: there is no such file.
    """
    with explained(url):
        if is_local(url):
            path = local_path(url)
            found = os.stat(path)
            if not os.path.isfile(path):
                raise FileNotFoundError(f"{url} is not a file")
            return InputFile(uri=url, size=found.st_size, etag=_mtime_tag(found))
        filesystem, path = filesystem_of(url)
        entry = filesystem.info(path)
        if entry["type"] != "file":
            raise FileNotFoundError(f"{url} is not a file")
        return _input_file(url, entry)


def exists(url: str) -> bool:
    """True where a file or a folder is there."""
    if is_local(url):
        return os.path.exists(local_path(url))
    with explained(url):
        filesystem, path = filesystem_of(url)
        return bool(filesystem.exists(path))


def is_folder(url: str) -> bool:
    """True where `url` is a folder; on an object store, where names begin with it."""
    if is_local(url):
        return os.path.isdir(local_path(url))
    with explained(url):
        filesystem, path = filesystem_of(url)
        return bool(filesystem.isdir(path))


def read_bytes(url: str, start: int | None = None, stop: int | None = None) -> bytes:
    """A whole file, or its bytes [start, stop); fewer where it ends before `stop`.

    Raises:
        MissingFile: there is no such file.
    """
    with explained(url):
        if is_local(url):
            with open(local_path(url), "rb") as stream:
                if start is None and stop is None:
                    return stream.read()
                stream.seek(start or 0)
                return stream.read(-1 if stop is None else max(0, stop - (start or 0)))
        filesystem, path = filesystem_of(url)
        return bytes(filesystem.cat_file(path, start, stop))


def open_file(url: str) -> BinaryIO:
    """A seekable, buffered reader; use it in a `with` block.

    Raises:
        MissingFile: there is no such file.
    """
    with explained(url):
        if is_local(url):
            return open(local_path(url), "rb")
        filesystem, path = filesystem_of(url)
        return cast("BinaryIO", filesystem.open(path, "rb"))


def list_folder(url: str) -> tuple[list[InputFile], list[str]]:
    """Files directly in a folder, with size and version, and the URLs of its folders; sorted.

    Raises:
        MissingFile: there is no such folder.
    """
    with explained(url):
        if is_local(url):
            return _list_local(url)
        filesystem, path = filesystem_of(url)
        entries = sorted(filesystem.ls(path, detail=True), key=lambda entry: str(entry["name"]))
        names = (entry["name"].rstrip("/").rpartition("/")[2] for entry in entries)
        named = [(join_url(url, name), entry) for name, entry in zip(names, entries, strict=True)]
        files = [_input_file(name, entry) for name, entry in named if entry["type"] == "file"]
        return files, [name for name, entry in named if entry["type"] == "directory"]


def find_files(pattern: str) -> list[InputFile]:
    """The files that a glob pattern matches, sorted by name."""
    with explained(pattern):
        if is_local(pattern):
            import glob

            root = pattern if not pattern.startswith("file://") else local_path(pattern)
            names = sorted(glob.glob(root, recursive=True))
            return [stat_file(name) for name in names if os.path.isfile(name)]
        filesystem, path = filesystem_of(pattern)
        found = cast("dict[str, dict[str, Any]]", filesystem.glob(path, detail=True))
        return [
            _input_file(str(filesystem.unstrip_protocol(name)), entry)
            for name, entry in sorted(found.items())
            if entry["type"] == "file"
        ]


def write_bytes(url: str, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing; an older one is replaced."""
    with explained(url):
        if not is_local(url):
            filesystem, path = filesystem_of(url)
            filesystem.pipe_file(path, data)
            return
        write_whole(Path(local_path(url)), data)


def create_bytes(url: str, data: bytes) -> bool:
    """Write a file only where none is; False, and nothing changed, where one is there.

    Of any number of writers at once exactly one gets True.

    Raises:
        ConfigError: the store has no exclusive create.
    """
    with explained(url):
        if not is_local(url):
            filesystem, path = filesystem_of(url)
            if not url.startswith(_S3):
                raise ConfigError(
                    f"{url}: runs can be written to local paths and s3:// stores; "
                    f"{url.partition('://')[0]} has no exclusive create here"
                )
            try:
                filesystem.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            return True
        target = Path(local_path(url))
        with beside(target) as staged:
            write_synced(staged, data)
            if not place_exclusively(staged, target):
                return False
            sync_folder(target.parent)
            return True


def remove(url: str) -> None:
    """Delete a file; no error where it is gone."""
    with explained(url):
        filesystem, path = filesystem_of(url)
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm_file(path)


# --- parts -------------------------------------------------------------------------------------


def _list_local(url: str) -> tuple[list[InputFile], list[str]]:
    files, folders = [], []
    root = url if not url.startswith("file://") else local_path(url)
    with os.scandir(root) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_dir():
                folders.append(join_url(root, entry.name))
            elif entry.is_file():
                found = entry.stat()
                files.append(
                    InputFile(
                        uri=join_url(root, entry.name), size=found.st_size, etag=_mtime_tag(found)
                    )
                )
    return files, folders


def _mtime_tag(found: os.stat_result) -> str:
    return f"mtime:{found.st_mtime_ns}"


def _input_file(url: str, entry: dict[str, Any]) -> InputFile:
    tag = next(
        (entry[key] for key in _VERSIONS if entry.get(key)),
        "",
    )
    return InputFile(uri=url, size=int(entry["size"] or 0), etag=str(tag).strip('"'))
