"""Where the images of an export are: as they were, or copied, linked or embedded, upright."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import posixpath
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pipeline.export.options import ExportOptions, ExportSummary
from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.address import ImageAddress, UriKind
from pipeline.images.decode import ImageLimits, decode_image, open_image
from pipeline.images.fetch import read_image_uri
from pipeline.images.orientation import orientation
from pipeline.images.whole import require_whole
from pipeline.storage.files import exists, is_local, local_path, write_bytes
from schemas.errors import RecordError
from schemas.fingerprint import sha256_bytes
from schemas.records import CuratedRecord

_EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_SAME_ENDING = {".jpeg": ".jpg", ".jpe": ".jpg"}


class ImagePlaces:
    """Gives each record the file name that is written, and puts the image there if it must be.

    Args:
        mode: `reference`, `copy`, `link` or `embed`.
        folder: Of copies and links: a path or URL; file names are relative to it.
        prefix: Goes before the file names of copies and links.
        unique_stems: No two names differ in their ending alone: labels are named by the stem.
        as_jpeg: Copies that are not JPEG are encoded as such.
    """

    def __init__(
        self,
        mode: str,
        summary: ExportSummary,
        options: ExportOptions,
        *,
        folder: str = "",
        prefix: str = "",
        unique_stems: bool = False,
        as_jpeg: bool = False,
    ) -> None:
        self.mode = mode
        self.kinds: Counter[UriKind] = Counter()
        """How images that are referenced are kept."""
        self.renamed = 0
        """Copies that could not keep their name: another image has it, or it is not a good one."""
        self._summary = summary
        self._limits = options.limits
        self._access = options.access
        self._by_content = options.image_names == "content"
        self.outside_root = 0
        """References whose whole address is written, because they are not below the root."""
        self._roots = _spellings(options.image_root)
        self._folder = folder.rstrip("/")
        self._prefix = prefix
        self._unique_stems = unique_stems
        self._as_jpeg = as_jpeg
        self._taken: dict[int, int] = {}
        """Name -> content, both hashed: what stands in the folder."""
        self._final: dict[int, str] = {}
        """Content and name, hashed -> the name it got where that is not its own."""

    def file_name(self, record: CuratedRecord, sub: str = "") -> str:
        """The file name that is written; `sub` is a folder for copies (`train/`).

        Raises:
            RecordError: the image must be copied and cannot be read.
        """
        if self.mode in ("reference", "embed"):
            return self._reference(record)
        return self._prefix + self._placed(record, sub)

    def embedded(self, record: CuratedRecord) -> tuple[str, bytes]:
        """File name and bytes of an upright, plain image.

        Raises:
            RecordError: the image cannot be read.
        """
        data, ending = plain_image(record, self._limits, access=self._access)
        self._summary.images += 1
        return original_name(record.image_uri, ending), data

    def _reference(self, record: CuratedRecord) -> str:
        uri = record.image_uri
        address = ImageAddress.of(uri)
        if self.mode == "reference":
            self.kinds[address.kind] += 1
        if not self._roots:
            return uri
        whole = address.path or uri
        for root in self._roots:
            if whole.startswith(root + "/"):
                return whole[len(root) + 1 :]
        if address.path:
            whole = os.path.realpath(whole)
            if whole.startswith(self._roots[-1] + "/"):
                return whole[len(self._roots[-1]) + 1 :]
        self.outside_root += 1
        return uri

    def _placed(self, record: CuratedRecord, sub: str) -> str:
        key = record.image_sha256 or record.image_uri
        wanted = self._wanted_name(record)
        content, both = _hashed(key), _hashed(f"{sub}{wanted}\0{key}")
        name = self._final.get(both, wanted)
        if self._owner(sub, name) == content:
            return sub + name
        write, ending = self._writer(record)
        name = posixpath.splitext(wanted)[0] + ending
        if self._owner(sub, name) not in (None, content):
            self.renamed += 1
            digest = hashlib.sha256(key.encode()).hexdigest()[:10]
            name = f"{posixpath.splitext(wanted)[0]}-{digest}{ending}"
        if name != wanted:
            self._final[both] = name
        if self._owner(sub, name) != content:
            if not self._by_content and name == wanted:
                self.renamed += wanted != original_name(record.image_uri, "")
            target = f"{self._folder}/{sub}{name}"
            if not (self._by_content and exists(target)):
                write(target)
            self._taken[self._name_key(sub, name)] = content
            self._summary.images += 1
        return sub + name

    def _owner(self, sub: str, name: str) -> int | None:
        """The content that has a name, if any."""
        return self._taken.get(self._name_key(sub, name))

    def _name_key(self, sub: str, name: str) -> int:
        """Names are compared without case: some file systems do."""
        stem = posixpath.splitext(name)[0] if self._unique_stems else name
        return _hashed(sub + stem.lower())

    def _wanted_name(self, record: CuratedRecord) -> str:
        if self._by_content and record.image_sha256:
            digest = record.image_sha256
            return f"{digest[:2]}/{digest[:24]}{_ending_of(record.image_uri)}"
        return _plain_name(original_name(record.image_uri, ""))

    def _writer(self, record: CuratedRecord) -> tuple[Callable[[str], None], str]:
        """What writes the image at a path or URL, and the file name's ending."""
        if self.mode == "link":
            source, ending = _linkable(record, self._limits, self._access, jpeg=self._as_jpeg)
            ending = ".jpg" if self._as_jpeg else _ending_of(source) or ending
            return lambda target: _link(source, target), ending
        data, ending = plain_image(record, self._limits, jpeg=self._as_jpeg, access=self._access)
        # Readers of a format that is JPEG alone put `.jpg` behind the ids: not .JPG, not .jpeg.
        is_free = not (self._by_content or self._as_jpeg)
        if is_free and _same_kind(record.image_uri, ending):
            ending = _ending_of(record.image_uri)
        return lambda target: write_bytes(target, data), ending


def plain_image(
    record: CuratedRecord,
    limits: ImageLimits,
    *,
    jpeg: bool = False,
    access: ImageAccess = ANYTHING,
) -> tuple[bytes, str]:
    """Bytes and ending of a plain JPEG, PNG or WebP file with the pixels that were labelled.

    A file whose pixels are not upright as they stand, or of an unusual format, is written anew as
    PNG or JPEG: boxes are in the upright frame, and most trainers ignore EXIF.

    Raises:
        RecordError: it cannot be read, or is not the image that was labelled.
    """
    from PIL import Image

    data = read_image_uri(record.image_uri, access=access)
    if not record.image_sha256:  # nobody has seen its pixels, as those of a web image
        require_whole(data, limits)
    elif sha256_bytes(data) != record.image_sha256:
        decoded = decode_image(data, limits)
        if (decoded.width, decoded.height) != (record.width, record.height):
            raise RecordError("image_changed", "its size is not the one that was labelled")
    kind, is_plain = "", False
    # What cannot be opened is decoded below, and that says why.
    with contextlib.suppress(Exception), open_image(data, limits.max_pixels) as image:
        kind = image.format or ""
        is_plain = image.mode in ("RGB", "L") and orientation(image) == 1
        is_plain = is_plain and image.size == (record.width, record.height)
    if is_plain and (kind == "JPEG" if jpeg else kind in _EXTENSIONS):
        return data, _EXTENSIONS[kind]
    decoded = decode_image(data, limits)
    if (decoded.width, decoded.height) != (record.width, record.height):
        raise RecordError("image_changed", "its size is not the one that was labelled")
    buffer = io.BytesIO()
    if jpeg or kind in ("JPEG", "MPO"):
        Image.fromarray(decoded.array).save(buffer, "JPEG", quality=95)
        return buffer.getvalue(), ".jpg"
    Image.fromarray(decoded.array).save(buffer, "PNG")
    return buffer.getvalue(), ".png"


def original_name(uri: str, ending: str) -> str:
    """The file name of an image without its folders; of a table's cell, the file and the row."""
    address = ImageAddress.of(uri)
    if address.kind is UriKind.TABLE:
        table = posixpath.splitext(posixpath.basename(address.file))[0]
        return f"{table}-{address.member.partition('/')[0]}{ending}"
    path = address.member or uri
    if address.kind is UriKind.WEB:
        path = path.partition("?")[0].partition("#")[0]
    name = posixpath.basename(path.rstrip("/")) or "image"
    stem, own = posixpath.splitext(name)
    if own.lower() not in _KNOWN_ENDINGS:
        stem, own = name, ""
    if not ending or ending == _SAME_ENDING.get(own.lower(), own.lower()):
        ending = own
    return stem + ending


def _plain_name(name: str) -> str:
    """A name that loaders find and file systems take: loaders skip those that begin with a dot or
    two underscores, take a backslash for a folder, and list names by line without blanks around
    them; labels and temporary files have longer names than their image."""
    stem, ending = posixpath.splitext(name.translate(_UNSAFE))
    name = (stem.strip() or "image") + ending.strip()
    if name.startswith((".", "__")):
        name = f"image{name}"
    if len(name.encode("utf-8", "replace")) <= _LONGEST_NAME:
        return name
    stem, ending = posixpath.splitext(name)
    short = stem.encode("utf-8", "replace")[: _LONGEST_NAME - 30].decode("utf-8", "ignore")
    return f"{short}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:10]}{ending}"


_UNSAFE = {ord(one): "_" for one in "\\\x7f\x85\u2028\u2029"} | dict.fromkeys(range(32), "_")
_LONGEST_NAME = 200
"""Bytes; most file systems take 255."""
_KNOWN_ENDINGS = {*_EXTENSIONS.values(), *_SAME_ENDING, ".bmp", ".gif", ".tif", ".tiff", ".avif"}
_KNOWN_ENDINGS |= {".jp2", ".ppm", ".ico", ".heic"}


def _ending_of(uri: str) -> str:
    own = posixpath.splitext(original_name(uri, ""))[1]
    return own if own.lower() in _KNOWN_ENDINGS else ""


def _same_kind(uri: str, ending: str) -> bool:
    own = _ending_of(uri).lower()
    return _SAME_ENDING.get(own, own) == ending


def _linkable(
    record: CuratedRecord, limits: ImageLimits, access: ImageAccess, *, jpeg: bool
) -> tuple[str, str]:
    """The path that a link may show to, and the ending of its kind of image.

    Raises:
        RecordError: there is no such file, or its pixels are not upright as they stand.
    """
    address = ImageAddress.of(record.image_uri)
    if address.kind is not UriKind.FILE:
        raise RecordError("not_a_file", "its image is not a file of its own: it must be copied")
    path = address.path
    data, ending = plain_image(record, limits, jpeg=jpeg, access=access)
    if len(data) != os.path.getsize(path):
        raise RecordError("not_upright", "its file is not a plain upright image: it must be copied")
    return path, ending


def _link(source: str, target: str) -> None:
    path = Path(local_path(target))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(source)


def _spellings(root: str) -> tuple[str, ...]:
    """A root as it is given, absolute, and with its symbolic links followed."""
    if not root:
        return ()
    if not is_local(root):
        return (root.rstrip("/"),)
    return tuple(dict.fromkeys((local_path(root), os.path.realpath(local_path(root)))))


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())
