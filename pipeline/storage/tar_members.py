"""Members of a tar by their headers alone: where each begins, what it is called, how long it is.

`tarfile` ends silently at a broken header; here that is an error, because rows would be lost.
GNU long names, PAX names and sizes, and gzip are understood.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from pipeline.storage.files import open_file, read_bytes, stat_file
from pipeline.storage.inflation import GZIP_ERRORS, BoundedGzip
from schemas.errors import RecordError, UnitError
from schemas.records import Status

BLOCK = 512
MAX_NAME_BYTES = 1 << 20
"""A header that announces a longer name is broken."""
MAX_MEMBER_BYTES = 1 << 43
"""No member is so long; a header that says so is broken."""
MAX_DIGITS = 32
_READ_BYTES = 1 << 24
_MAX_PADDING = 64 * 1024
CACHED_INDEXES = 16
_NAME_CODING = ("utf-8", "backslashreplace")


class TarDamage(UnitError):
    """The archive cannot be followed any further. `offset` is where the trouble begins."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.offset = offset

    def __reduce__(self) -> tuple[type[TarDamage], tuple[str, int]]:
        return (TarDamage, (str(self), self.offset))


@dataclass(frozen=True, slots=True)
class TarMember:
    """One entry.

    header_start: byte offset of its first header (of the long name, where there is one).
    data_start, size: where its bytes are.
    kind: `file`, `folder`, or what else it is, in words.
    """

    name: str
    header_start: int
    data_start: int
    size: int
    kind: str

    @property
    def stop(self) -> int:
        """Where the next header begins."""
        return self.data_start + -(-self.size // BLOCK) * BLOCK


def iter_members(stream: BinaryIO, start: int = 0, stop: int | None = None) -> Iterator[TarMember]:
    """Every member whose first header begins in [start, stop), in file order.

    `start` must be the beginning of a header. A yielded member's bytes may still be missing: read
    them with `read_exactly`.

    Raises:
        TarDamage: a header is broken or the file ends inside one.
    """
    position = start
    header_start = start
    long_name: str | None = None
    pax: dict[str, str] = {}
    while stop is None or header_start < stop:
        try:
            stream.seek(position)
        except (OSError, OverflowError, ValueError) as error:  # no file goes on so far
            raise TarDamage(f"has a member that ends at byte {position}", header_start) from error
        block = stream.read(BLOCK)
        if position != header_start and not any(block):
            raise TarDamage("ends after an extended header without its member", header_start)
        if not block:
            break
        if len(block) == BLOCK and not any(block):
            # Archives are padded with zeros; anything else there is a second archive, or damage.
            if any(stream.read(_MAX_PADDING)):
                raise TarDamage(f"has data behind its end mark at byte {position}", header_start)
            return
        if len(block) < BLOCK:
            raise TarDamage(f"ends inside the header at byte {position}", header_start)
        info = _header(block, position, header_start)
        data_start = position + BLOCK
        if info.type == tarfile.GNUTYPE_SPARSE:
            goes_on = block[_SPARSE_GOES_ON]  # blocks with more of its map follow
            while goes_on and (more := read_exactly(stream, data_start, BLOCK)):
                data_start, goes_on = data_start + BLOCK, more[_MAP_GOES_ON]
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, *_PAX_TYPES):
            if info.size > MAX_NAME_BYTES:
                raise TarDamage(
                    f"has a name of {info.size:,} bytes at byte {position}", header_start
                )
            text = read_exactly(stream, data_start, info.size)
            if text is None:
                raise TarDamage(f"ends inside the name at byte {data_start}", header_start)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                long_name = text.split(b"\0")[0].decode(*_NAME_CODING)
            elif info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                pax = _pax_fields(text, position, header_start)
            position = data_start + -(-info.size // BLOCK) * BLOCK
            continue
        member = _member(info, header_start, data_start, long_name, pax)
        yield member
        position = header_start = member.stop
        long_name, pax = None, {}
    stream.seek(header_start)
    if header_start and not stream.read(1):
        raise TarDamage("ends without an end mark, it may be cut off", header_start)


def read_exactly(stream: BinaryIO, start: int, size: int) -> bytes | None:
    """`size` bytes from `start`; None where the stream ends before.

    Takes no more memory than there are bytes, whatever a header says.
    """
    stream.seek(start)
    if size <= _READ_BYTES:
        data = stream.read(size)
        if len(data) == size:
            return data
        stream.seek(start)
    found = io.BytesIO()  # hands its bytes over without a copy; joined chunks need twice the memory
    while (left := size - found.tell()) and (chunk := stream.read(min(left, _READ_BYTES))):
        found.write(chunk)
    return None if left else found.getvalue()


@contextlib.contextmanager
def open_tar(url: str) -> Iterator[BinaryIO]:
    """The uncompressed bytes of a tar, seekable (backwards in a `.tar.gz` is slow).

    Reading may raise one of `GZIP_ERRORS`.
    """
    with open_file(url) as raw:
        if not is_gzip(url):
            yield raw
            return
        with BoundedGzip(raw, url) as unpacked:
            yield cast("BinaryIO", unpacked)


def is_gzip(url: str) -> bool:
    """True for `.tar.gz` and `.tgz`."""
    return url.lower().endswith((".tar.gz", ".tgz"))


# --- one member by name ------------------------------------------------------------------------

_Index = dict[str, tuple[int, int]]
_indexes: OrderedDict[tuple[str, int, str], _Index] = OrderedDict()
_indexes_lock = threading.Lock()


def read_tar_member(
    url: str, name: str, max_bytes: int, admit: Callable[[int], None] = lambda size: None
) -> bytes:
    """The bytes of the first member called `name`. The headers are scanned once a process.

    `admit` is called with the size before the bytes are read, and may raise.

    Raises:
        RecordError: IMAGE_MISSING, there is no such member or its bytes are cut off;
            IMAGE_TOO_LARGE, it has more than `max_bytes`.
        MissingFile: there is no such archive.
    """
    file = stat_file(url)
    key = (url, file.size, file.etag)
    with _indexes_lock:
        index = _indexes.get(key)
    if index is None:
        index = _scan(url)
        with _indexes_lock:
            _indexes[key] = index
            while len(_indexes) > CACHED_INDEXES:
                _indexes.popitem(last=False)
    if name not in index:
        raise RecordError(Status.IMAGE_MISSING, f"{url} has no member {name!r}")
    start, size = index[name]
    if size > max_bytes:
        raise RecordError(
            Status.IMAGE_TOO_LARGE,
            f"{url}: the member {name!r} has {size:,} bytes; at most {max_bytes:,} are read",
        )
    admit(size)
    data: bytes | None = None
    if is_gzip(url):
        with open_tar(url) as stream, contextlib.suppress(*GZIP_ERRORS):
            data = read_exactly(stream, start, size)
    else:
        data = read_bytes(url, start, start + size)
    if data is None or len(data) != size:
        raise RecordError(Status.IMAGE_MISSING, f"{url} ends inside the member {name!r}")
    return data


def _scan(url: str) -> _Index:
    index: _Index = {}
    with open_tar(url) as stream:
        try:
            for member in iter_members(stream):
                index.setdefault(member.name, (member.data_start, member.size))
        except (TarDamage, *GZIP_ERRORS):
            # What comes before the damage is still good; a name behind it is reported missing.
            return index
    return index


# --- headers -----------------------------------------------------------------------------------

_SPARSE_GOES_ON, _MAP_GOES_ON = 482, 504
_PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_KINDS = {
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "named pipe",
    tarfile.GNUTYPE_SPARSE: "sparse file",
}


def _header(block: bytes, position: int, header_start: int) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, *_NAME_CODING)
    except (tarfile.HeaderError, ValueError) as error:
        raise TarDamage(f"has a broken header at byte {position}: {error}", header_start) from error
    _require_size(info.size, position, header_start)
    return info


def _require_size(size: int, position: int, header_start: int) -> None:
    if not 0 <= size <= MAX_MEMBER_BYTES:
        raise TarDamage(
            f"has a member of {size:,} bytes at byte {position}, which cannot be",
            header_start,
        )


def _member(
    info: tarfile.TarInfo,
    header_start: int,
    data_start: int,
    long_name: str | None,
    pax: dict[str, str],
) -> TarMember:
    name = pax.get("GNU.sparse.name") or pax.get("path") or long_name or info.name
    size = info.size
    if "size" in pax:
        text = pax["size"]
        if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
            raise TarDamage(
                f"has the size {text[:80]!r} in the extended header at byte {header_start}",
                header_start,
            )
        size = int(text)
        _require_size(size, header_start, header_start)
    kind = "folder" if info.isdir() or name.endswith("/") else _KINDS.get(info.type, "file")
    if kind == "file" and any(key.startswith("GNU.sparse.") for key in pax):
        kind = "sparse file"  # a map of its holes is needed to read it
    # Links and devices have no bytes, whatever their header says.
    if kind not in ("file", "sparse file"):
        size = 0
    return TarMember(name, header_start, data_start, size, kind)


def _pax_fields(text: bytes, position: int, header_start: int) -> dict[str, str]:
    """`<length> <key>=<value>\\n` records."""
    fields: dict[str, str] = {}
    rest = text.rstrip(b"\0")
    while rest:
        length, space, _ = rest.partition(b" ")
        if (
            not space
            or not length.isdigit()
            or len(length) > MAX_DIGITS
            or not len(length) + 2 < int(length) <= len(rest)
        ):
            raise TarDamage(f"has a broken extended header at byte {position}", header_start)
        record, rest = rest[len(length) + 1 : int(length)], rest[int(length) :]
        key, _, value = record.rstrip(b"\n").partition(b"=")
        fields[key.decode(*_NAME_CODING)] = value.decode(*_NAME_CODING)
    return fields
