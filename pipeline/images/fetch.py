"""Read an image again by its URI: a file, a URL, a member of an archive, a cell of a table."""

from __future__ import annotations

import os
import stat

from pipeline.images.access import ANYTHING, ImageAccess, plain_uri
from pipeline.images.address import ImageAddress, UriKind
from pipeline.images.connections import Admit, NotAdmitted
from pipeline.images.web import fetch_web
from pipeline.storage.errors import MissingFile, StorageDenied, StorageKeysRefused
from pipeline.storage.files import read_bytes, stat_file
from pipeline.storage.local_place import special_kind
from pipeline.storage.parquet_cell import read_parquet_cell
from pipeline.storage.tar_members import read_tar_member
from schemas.errors import ConfigError, RecordError, RetryableError, UnitError, reason_of
from schemas.records import Status

MAX_IMAGE_BYTES = 256 * 2**20
"""A larger file is not read: no image that is worth decoding has so many bytes."""


def read_image_uri(
    uri: str, *, access: ImageAccess = ANYTHING, admit: Admit = lambda size: None
) -> bytes:
    """The encoded bytes that `uri` names.

    `uri` is a path, a `file://`, `s3://` or `http(s)://` URL, `<tar or zip>#<member>` or
    `<file.parquet>#<row>/<column>`.

    Args:
        uri: As a corpus or a row has it.
        access: What may be read, and what is elsewhere now.
        admit: Called with the size before the bytes are read; may raise to have none read.

    Raises:
        RecordError: IMAGE_MISSING where nothing is there that can be read, IMAGE_TOO_LARGE where
            it is not an image by its size alone.
        NotAdmitted: `admit` says so.
        RetryableError: the store failed.
        StorageKeysRefused: the store does not know the keys: this concerns every record.
    """
    if not uri or "\0" in uri:
        raise RecordError(Status.IMAGE_MISSING, f"{uri!r} names no image")
    uri = plain_uri(access.now(uri))
    try:
        address = ImageAddress.of(uri)
        if address.kind is UriKind.WEB:
            return fetch_web(uri, MAX_IMAGE_BYTES, access=access, admit=admit)
        access.require(uri if address.is_in_zip else address.file)
        if address.kind is UriKind.TABLE:
            row, _, column = address.member.partition("/")
            return read_parquet_cell(address.file, int(row), column)
        if address.kind is UriKind.ARCHIVE and not address.is_in_zip:
            return read_tar_member(address.file, address.member, MAX_IMAGE_BYTES, admit)
        if address.kind is UriKind.FILE:
            return _read_file(address.path, access, admit)
        _require_size(uri, stat_file(uri).size, admit)
        return read_bytes(uri) if address.is_in_zip else read_bytes(uri, 0, MAX_IMAGE_BYTES)
    except (RecordError, RetryableError, StorageKeysRefused, NotAdmitted):
        raise
    except (MissingFile, StorageDenied, UnitError, ConfigError) as error:
        raise RecordError(Status.IMAGE_MISSING, str(error)) from error
    except MemoryError as error:
        raise RecordError(
            Status.IMAGE_TOO_LARGE, f"{uri}: reading it needs too much memory"
        ) from error
    except Exception as error:
        # Whatever a file system, a table or a store raises for one address: only its row suffers.
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.errno is not None:
            reason = reason_of(error)
        raise RecordError(Status.IMAGE_MISSING, f"{uri} cannot be read: {reason}") from error


def _read_file(path: str, access: ImageAccess, admit: Admit) -> bytes:
    # Not blocking: opening a pipe that nobody writes to would wait without end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        access.require_opened(descriptor, path)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise RecordError(
                Status.IMAGE_MISSING, f"{path} is a {_kind(found.st_mode)}, not a file"
            )
        _require_size(path, found.st_size, admit)
        # By its size: files of /proc have none, and one that grows is not followed.
        return stream.read(found.st_size)


def _require_size(uri: str, size: int, admit: Admit) -> None:
    if size > MAX_IMAGE_BYTES:
        raise RecordError(
            Status.IMAGE_TOO_LARGE,
            f"{uri} has more than {MAX_IMAGE_BYTES:,} bytes; so many are not read",
        )
    admit(size)


def _kind(mode: int) -> str:
    return "folder" if stat.S_ISDIR(mode) else special_kind(mode) or "special file"
