"""What the records of a corpus may make this machine read.

A list of image addresses is data of its author. One's own may name any file; that of a stranger
must not: `/etc/passwd` or the address of a service inside the network would be read on behalf of
whoever wrote it.
"""

from __future__ import annotations

import ipaddress
import os
import posixpath
from dataclasses import dataclass

from pipeline.storage.files import is_local, local_path, zip_parts
from schemas.errors import RecordError
from schemas.records import Status

STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "hf", "r2")
"""Object stores whose addresses a record may name; those besides S3 need their fsspec package."""
WEB = ("http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAccess:
    """Where images may be read from.

    untrusted: The corpus is somebody else's: only files and objects below `root`, and public
        addresses of the web, at every redirect.
    root: Folder or URL of the corpus.
    """

    untrusted: bool = False
    root: str = ""
    others: tuple[str, ...] = ()
    """Further roots, of corpora that are one run."""
    moved: tuple[tuple[str, str], ...] = ()
    """Places that are elsewhere now: how addresses began, and how they begin."""

    def now(self, uri: str) -> str:
        """Where the image of an address is now."""
        for old, new in self.moved:
            if is_at(uri, old):
                return new + uri[len(old) :]
        return uri

    def require(self, uri: str) -> None:
        """Refuse a file or an object that is not below the root. The web is checked as it is met.

        Raises:
            RecordError: IMAGE_MISSING, names what is allowed.
        """
        if self.untrusted and scheme_of(uri) not in WEB:
            self._require_below(uri, uri)

    def require_opened(self, descriptor: int, uri: str) -> None:
        """Refuse an open file that is not below the root: a link may have been turned since it was
        looked at.

        Raises:
            RecordError: IMAGE_MISSING, as of `require`.
        """
        opened = f"/proc/self/fd/{descriptor}"
        if self.untrusted and os.path.lexists(opened):
            self._require_below(uri, os.path.realpath(opened))

    def require_address(self, host: str, address: str) -> None:
        """Refuse an address of the web that is not public.

        Raises:
            RecordError: IMAGE_MISSING, names the host.
        """
        if self.untrusted and not is_public(address):
            raise RecordError(
                Status.IMAGE_MISSING,
                f"{host} is {address}, which is not a public address, and the corpus is untrusted",
            )

    def _require_below(self, uri: str, place: str) -> None:
        if not any(_is_inside(place, root) for root in (self.root, *self.others)):
            raise RecordError(
                Status.IMAGE_MISSING,
                f"{uri} is not below the corpus, and the corpus is untrusted",
            )


ANYTHING = ImageAccess()
"""What one's own corpus may name."""


def is_at(uri: str, place: str) -> bool:
    """Whether an address is a file or folder, something below it, or a member of it."""
    rest = uri[len(place) :]
    return uri.startswith(place) and (rest[:1] in ("", "/", "#") or place.endswith("/"))


def scheme_of(uri: str) -> str:
    """The scheme of a URL in lower case, `a::b` where it is chained; empty for a path."""
    scheme, mark, _ = uri.partition("://")
    return scheme.lower() if mark else ""


def plain_uri(uri: str) -> str:
    """`uri` without white space around it, its scheme in lower case.

    Raises:
        RecordError: IMAGE_MISSING, it names nothing, or its scheme is not one that is read.
    """
    stripped = uri.strip()
    scheme = scheme_of(stripped)
    if "://" not in uri:
        return uri  # a path may begin or end with a blank
    if not stripped or "\0" in stripped:
        raise RecordError(Status.IMAGE_MISSING, f"{uri!r} names no image")
    if scheme not in ("file", *WEB, *STORES):
        raise RecordError(
            Status.IMAGE_MISSING,
            f"{stripped!r}: images are read from paths, file://, http(s):// and s3:// (or another "
            f"object store: {', '.join(STORES[2:])}); {scheme}:// is not read",
        )
    host = stripped.partition("://")[2].partition("/")[0]
    if scheme == "file" and host.lower() not in ("", "localhost"):
        raise RecordError(
            Status.IMAGE_MISSING,
            f"{stripped!r} names a file of the machine {host!r}; a file of this one is file:///...",
        )
    return scheme + stripped[len(scheme) :]


def is_public(address: str) -> bool:
    """True for an address that the whole internet sees, also when written inside another one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        last = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if found.ipv4_mapped or found in _NAT64:  # another spelling of an IPv4 address
            return is_public(str(last))
        is_isatap = int(found) >> 32 & 0xFDFFFFFF == 0x5EFE
        inner = (
            found.sixtofour or (found.teredo or (None, None))[1] or (last if is_isatap else None)
        )
        if found.is_site_local or (inner is not None and not is_public(str(inner))):
            return False
    elif found in _PROTOCOLS:
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")
"""IANA's, which Python knows in part only before 3.12.4."""


def _is_inside(uri: str, root: str) -> bool:
    # A file may be called like a member of an archive, and lie elsewhere: `a.zip#/../../b.jpg`.
    if not is_local(uri) and (parts := zip_parts(uri)):
        uri, root = parts[0], (zip_parts(root) or (root, ""))[0]
        if uri == root:
            return True
    if is_local(uri):
        return is_local(root) and _is_below(
            os.path.realpath(local_path(uri)), os.path.realpath(local_path(root))
        )
    plain = posixpath.normpath(uri.partition("://")[2])
    return scheme_of(uri) == scheme_of(root) and _is_below(
        plain, posixpath.normpath(root.partition("://")[2])
    )


def _is_below(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")
