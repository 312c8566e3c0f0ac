"""What an image's address is: a file, a web address, a member of an archive, a cell of a table."""

from __future__ import annotations

import os
import re
from enum import StrEnum

from pipeline.storage.files import is_local, local_path

IN_ARCHIVE = re.compile(r"(?P<file>.+?\.(?:tar|tar\.gz|tgz|zip))#(?P<member>.+)", re.DOTALL)
IN_TABLE = re.compile(r"(?P<file>.+?\.parquet)#(?P<row>\d+)/(?P<column>.+)", re.DOTALL)


class UriKind(StrEnum):
    """How an image is kept."""

    FILE = "file"
    WEB = "web address"
    STORE = "object of a store"
    ARCHIVE = "member of an archive"
    TABLE = "cell of a table"


def uri_kind(uri: str) -> UriKind:
    """What kind of address it is; only a name that is no file itself is taken apart."""
    if "#" in uri and not (is_local(uri) and os.path.isfile(local_path(uri))):
        if IN_ARCHIVE.fullmatch(uri):
            return UriKind.ARCHIVE
        if IN_TABLE.fullmatch(uri):
            return UriKind.TABLE
    if uri.lower().startswith(("http://", "https://")):
        return UriKind.WEB
    return UriKind.FILE if is_local(uri) else UriKind.STORE
