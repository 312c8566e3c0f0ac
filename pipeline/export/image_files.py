"""Copies images out of archives, upright, for trainers that read plain files."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import ImageLimits, decode_image, read_image_uri
from pipeline.storage.files import exists, write_bytes
from schemas.errors import RecordError
from schemas.records import CuratedRecord

_ORIENTATION = 0x0112
_EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


class ImageCopier:
    """Writes every image once, named by its content, and points records to the copy.

    A file whose pixels are not upright as they stand, or of an unusual format, is written anew as
    PNG or JPEG: boxes are in the upright frame, and most trainers ignore EXIF.
    """

    def __init__(self, folder: str, limits: ImageLimits) -> None:
        """`limits` are those that the images were labelled under."""
        self.folder = folder.rstrip("/")
        self.limits = limits
        self.left_out: Counter[str] = Counter()

    def copied(self, records: Iterable[CuratedRecord]) -> Iterator[CuratedRecord]:
        """The records with the addresses of the copies; those whose image fails are counted."""
        for record in records:
            try:
                yield replace(record, image_uri=self._copy(record))
            except RecordError as error:
                self.left_out[f"pair whose image cannot be copied: {error.status}"] += 1

    def _copy(self, record: CuratedRecord) -> str:
        digest = record.image_sha256
        stem = f"{self.folder}/{digest[:2]}/{digest[:24]}"
        for extension in _EXTENSIONS.values():
            if digest and exists(stem + extension):
                return stem + extension
        data = read_image_uri(record.image_uri)
        decoded = decode_image(data, self.limits)
        if (decoded.width, decoded.height) != (record.width, record.height):
            raise RecordError("image_changed", "its size is not the one that was labelled")
        name, content = _upright_file(data, decoded.array)
        stem = f"{self.folder}/{decoded.sha256[:2]}/{decoded.sha256[:24]}"
        write_bytes(stem + name, content)
        return stem + name


def _upright_file(data: bytes, array: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Extension and bytes of a plain file with the same upright pixels."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        kind = image.format or ""
        plain = image.mode in ("RGB", "L") and image.getexif().get(_ORIENTATION, 1) == 1
    if plain and kind in _EXTENSIONS:
        return _EXTENSIONS[kind], data
    pixels = Image.fromarray(array)
    buffer = io.BytesIO()
    if kind in ("JPEG", "MPO"):
        pixels.save(buffer, "JPEG", quality=95)
        return ".jpg", buffer.getvalue()
    pixels.save(buffer, "PNG")
    return ".png", buffer.getvalue()
