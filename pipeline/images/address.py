"""What an image's address names: a file, a web address, a member of an archive, a table's cell."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum

from pipeline.storage.files import is_local, local_path, zip_parts

_IN_ARCHIVE = re.compile(r"(?P<file>.+?\.(?:tar|tar\.gz|tgz|zip))#(?P<member>.+)", re.DOTALL)
_IN_TABLE = re.compile(r"(?P<file>.+?\.parquet)#(?P<member>\d+/.+)", re.DOTALL)
_WEB = ("http://", "https://")


class UriKind(StrEnum):
    """How an image is kept."""

    FILE = "file"
    WEB = "web address"
    STORE = "object of a store"
    ARCHIVE = "member of an archive"
    TABLE = "cell of a table"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAddress:
    """A URI, taken apart once."""

    uri: str
    kind: UriKind
    file: str
    """What must be opened: the file itself, or the archive or table that holds the image."""
    member: str = ""
    """Name in an archive; `<row>/<column>` of a table."""
    path: str = ""
    """The URI as an absolute path, where what must be opened is on this machine."""

    @classmethod
    def of(cls, uri: str) -> ImageAddress:
        """Only a name that is not a file itself is taken apart: a file name may hold `#`."""
        if uri.lower().startswith(_WEB):
            return cls(uri=uri, kind=UriKind.WEB, file=uri)
        path = local_path(uri) if is_local(uri) else ""
        if "#" in uri and not os.path.isfile(path):
            for kind, form in ((UriKind.ARCHIVE, _IN_ARCHIVE), (UriKind.TABLE, _IN_TABLE)):
                if found := form.fullmatch(uri):
                    parts = {"file": found["file"], "member": found["member"]}
                    return cls(uri=uri, kind=kind, path=path, **parts)
        kind = UriKind.FILE if path else UriKind.STORE
        return cls(uri=uri, kind=kind, file=uri, path=path)

    @property
    def is_in_zip(self) -> bool:
        """True for a member of a zip archive, which storage reads like a file."""
        return self.kind is UriKind.ARCHIVE and zip_parts(self.uri) is not None


def file_version(uri: str) -> str:
    """Size and time of the file that holds an image; empty where it is not of this machine, or not
    there."""
    file = ImageAddress.of(uri).file
    if not is_local(file):
        return ""
    try:
        found = os.stat(local_path(file))
    except (OSError, ValueError):
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"
