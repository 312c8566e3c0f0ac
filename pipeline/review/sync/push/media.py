"""Image files that the App can show: the corpus's own where possible, else copies by content hash.

A browser needs a file of a format it knows. Images inside archives and tables, behind URLs, in
other formats, and images that carry an EXIF orientation (the boxes are in the upright frame) are
written once below the review home, named by the SHA-256 of the bytes they came from.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import IO

from PIL import Image

from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.decode import NO_LIMITS, decode_image, open_unguarded
from pipeline.images.fetch import read_image_uri
from pipeline.images.orientation import UPRIGHT, orientation
from pipeline.storage.files import is_local, local_path
from schemas.atomic import write_whole
from schemas.errors import RecordError
from schemas.fingerprint import sha256_bytes
from schemas.records import Annotation, Status

# PIL's format -> file ending. MPO is a JPEG with further images behind the first.
BROWSER_FORMATS = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "GIF": ".gif",
    "WEBP": ".webp",
    "BMP": ".bmp",
}
# The run had its own limits when it decoded the same bytes.
_JPEG_QUALITY = 95


class MediaStore:
    """Turns the image of an annotation into the path of a file."""

    def __init__(self, directory: Path, access: ImageAccess = ANYTHING) -> None:
        """Keep copies below `directory`; images are read from where `access` allows."""
        self._directory = directory
        self._access = access

    def filepath(self, row: Annotation) -> str:
        """An absolute path of an image file that shows the pixels the boxes were made for.

        Raises:
            RecordError: the image is gone, cannot be decoded, or is not the one that was labelled.
        """
        local = local_file(self._access.now(row.image_uri))
        if local is not None and _ending(local, row) is not None:
            return str(local)
        folder = self._directory / row.image_sha256[:2]
        for known in sorted(folder.glob(f"{row.image_sha256}.*")):
            return str(known)
        return str(self._materialise(row, folder))

    def _materialise(self, row: Annotation, folder: Path) -> Path:
        data = read_image_uri(row.image_uri, access=self._access)
        found = sha256_bytes(data)
        if found != row.image_sha256:
            raise RecordError(
                Status.IMAGE_CORRUPT,
                f"{row.image_uri} has sha256 {found}, it had {row.image_sha256} when it was "
                "labelled: label it again",
            )
        ending = _ending(io.BytesIO(data), row)
        if ending is None:
            decoded = decode_image(data, NO_LIMITS)
            _check_size(row, (decoded.width, decoded.height))
            upright = Image.fromarray(decoded.array)
            stream = io.BytesIO()
            if data[:2] == b"\xff\xd8":
                ending = ".jpg"
                upright.save(stream, "JPEG", quality=_JPEG_QUALITY)
            else:
                ending = ".png"
                upright.save(stream, "PNG")
            data = stream.getvalue()
        target = folder / f"{row.image_sha256}{ending}"
        write_whole(target, data)
        return target


def local_file(uri: str) -> Path | None:
    """The file that a path or `file://` URL names; None where the image is held by something."""
    if not is_local(uri):
        return None
    path = Path(local_path(uri))
    # A file's name may hold '#', like an archive's member; the file system knows.
    return path.absolute() if path.is_file() else None


def _ending(source: Path | io.BytesIO, row: Annotation) -> str | None:
    """The ending of a format that browsers show upright as it is; None where it must be rewritten.

    Raises:
        RecordError: it is not an image, or one of another size than the boxes were made for.
    """
    try:
        with _opened(source) as file, open_unguarded(file) as image:
            kind, size = image.format, image.size
            is_upright = orientation(image) == UPRIGHT
    except Exception as error:
        # Header parsers raise OSError, SyntaxError, struct.error and others.
        raise RecordError(
            Status.IMAGE_CORRUPT, f"{row.image_uri}: {type(error).__name__}: {error}"
        ) from error
    if kind not in BROWSER_FORMATS or not is_upright:
        return None
    _check_size(row, size)
    return BROWSER_FORMATS[kind]


def _opened(source: Path | io.BytesIO) -> contextlib.AbstractContextManager[IO[bytes]]:
    return source.open("rb") if isinstance(source, Path) else contextlib.nullcontext(source)


def _check_size(row: Annotation, size_wh: tuple[int, int]) -> None:
    if size_wh != (row.width, row.height):
        raise RecordError(
            Status.IMAGE_CORRUPT,
            f"{row.image_uri} has {size_wh[0]} x {size_wh[1]} pixels, it had "
            f"{row.width} x {row.height} when it was labelled: label it again",
        )
