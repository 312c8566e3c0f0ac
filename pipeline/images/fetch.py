"""Read an image again by its URI: a file, a URL, a member of an archive, a cell of a table."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request

from pipeline.storage.errors import MissingFile, StorageDenied
from pipeline.storage.files import is_local, local_path, read_bytes
from pipeline.storage.parquet_cell import read_parquet_cell
from pipeline.storage.tar_members import read_tar_member
from schemas.errors import GlipforgeError, RecordError
from schemas.records import Status

MAX_IMAGE_BYTES = 512 * 2**20
"""A larger file is not read: no image that is worth decoding has so many bytes."""
_TOO_LONG = f"has more than {MAX_IMAGE_BYTES:,} bytes; so many are not read"
WEB_ATTEMPTS = 3
WEB_TIMEOUT_S = 30.0
_IN_ARCHIVE = re.compile(r"(?P<file>.+?\.(?:tar|tar\.gz|tgz))#(?P<member>.+)", re.DOTALL)
_IN_TABLE = re.compile(r"(?P<file>.+?\.parquet)#(?P<row>\d+)/(?P<column>.+)", re.DOTALL)


def read_image_uri(uri: str) -> bytes:
    """The encoded bytes that `uri` names.

    `uri` is a path, a `file://`, `s3://` or `http(s)://` URL, `<tar>#<member>` or
    `<file.parquet>#<row>/<column>`.

    Raises:
        RecordError: IMAGE_MISSING where nothing is there, IMAGE_TOO_LARGE where it is not an image
            by its size alone.
        RetryableError: the store failed.
        ConfigError: the store refuses.
    """
    if not uri or "\0" in uri:
        raise RecordError(Status.IMAGE_MISSING, f"{uri!r} names no image")
    try:
        if uri.startswith(("http://", "https://")):
            return _read_web(uri)
        if not (is_local(uri) and os.path.isfile(local_path(uri))):
            # Only a name that is not a file itself is taken apart: a file name may hold `#`.
            if found := _IN_ARCHIVE.fullmatch(uri):
                return read_tar_member(found["file"], found["member"])
            if found := _IN_TABLE.fullmatch(uri):
                return read_parquet_cell(found["file"], int(found["row"]), found["column"])
        data = read_bytes(uri, 0, MAX_IMAGE_BYTES + 1)
        if len(data) > MAX_IMAGE_BYTES:
            raise RecordError(Status.IMAGE_TOO_LARGE, f"{uri} {_TOO_LONG}")
        return data
    except MissingFile as error:
        raise RecordError(Status.IMAGE_MISSING, str(error)) from error
    except StorageDenied as error:
        if not is_local(uri):
            raise  # the credentials of a store concern every record; a file's mode only this one
        raise RecordError(Status.IMAGE_MISSING, str(error)) from error
    except GlipforgeError:
        raise
    except (OSError, ValueError) as error:
        raise RecordError(Status.IMAGE_MISSING, f"{uri} cannot be read: {error}") from error


def _read_web(url: str) -> bytes:
    """GET, with a few attempts where the server may recover."""
    request = urllib.request.Request(url, headers={"User-Agent": "glipforge"})
    reason: object = ""
    for attempt in range(WEB_ATTEMPTS):
        if attempt:
            time.sleep(2.0**attempt / 2)
        try:
            with urllib.request.urlopen(request, timeout=WEB_TIMEOUT_S) as answer:
                data = bytes(answer.read(MAX_IMAGE_BYTES + 1))
            if len(data) > MAX_IMAGE_BYTES:
                raise RecordError(Status.IMAGE_TOO_LARGE, f"{url} {_TOO_LONG}")
            return data
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except (OSError, ValueError) as error:
            reason = error
    raise RecordError(Status.IMAGE_MISSING, f"{url} cannot be fetched: {reason}")
