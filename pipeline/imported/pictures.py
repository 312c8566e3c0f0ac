"""The images of a gold set: are they there, and of the size that the labels are drawn on?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.gold.picture_sizes import ANY_SIZE
from pipeline.images.address import ImageAddress, UriKind
from pipeline.images.damage import damage_in
from pipeline.images.decode import ImageLimits, decode_image, image_size
from pipeline.images.fetch import read_image_uri
from pipeline.images.whole import require_whole
from schemas.errors import RecordError
from schemas.fingerprint import sha256_bytes
from schemas.records import Status

MISSING = "image that is not there (is --image-root right?)"
UNREADABLE = "image that is there and cannot be read, or not to its end"
DAMAGED = "image whose bytes are damaged"
OTHER_SIZE = "image of another size than its labels say"
NOT_LOOKED_AT = "image on the web: it was not looked at"
DECODED = ImageLimits(min_side_px=1, max_aspect=1e9)
"""Of an image that may have been cut off; a larger one takes too much memory to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is known of an image: the hash of its bytes, or what is wrong with it."""

    sha256: str = ""
    problem: str = ""
    """One of the reasons above; empty where the image is good."""
    detail: str = ""
    status: Status = Status.OK


class Pictures:
    """Looks at images, each once where its samples follow one another."""

    def __init__(self, *, web: bool = False, decode: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        """Reason -> images."""
        self._web = web
        self._decode = decode
        """Decode every image, not only those that may have been cut off."""
        self._last: tuple[tuple[str, int, int], Picture] | None = None

    def look(self, uri: str, size_wh: tuple[int, int]) -> Picture:
        """The image at an address, which should have this size."""
        key = (uri, *size_wh)
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        found = self._look(uri, size_wh)
        if found.problem:
            self.counts[found.problem] += 1
        self._last = (key, found)
        return found

    def _look(self, uri: str, size_wh: tuple[int, int]) -> Picture:
        if ImageAddress.of(uri).kind is UriKind.WEB and not self._web:
            return Picture(problem=NOT_LOOKED_AT, detail=uri)
        try:
            data = read_image_uri(uri)
        except RecordError as error:
            return Picture(problem=MISSING, detail=error.detail, status=Status.IMAGE_MISSING)
        try:
            found = image_size(data, ANY_SIZE)
            if found[0] * found[1] <= DECODED.max_pixels:
                check = decode_image if self._decode else require_whole
                check(data, DECODED)
        except RecordError as error:
            detail = f"{error.detail} ({uri})"
            return Picture(problem=UNREADABLE, detail=detail, status=Status.IMAGE_CORRUPT)
        if damage := damage_in(data):
            detail = f"{uri}: {damage}"
            return Picture(problem=DAMAGED, detail=detail, status=Status.IMAGE_CORRUPT)
        if found != size_wh:
            return Picture(
                problem=OTHER_SIZE,
                detail=f"{uri} has {found[0]} x {found[1]} pixels upright, its labels are of "
                f"{size_wh[0]} x {size_wh[1]}",
                status=Status.RECORD_INVALID,
            )
        return Picture(sha256=sha256_bytes(data))
