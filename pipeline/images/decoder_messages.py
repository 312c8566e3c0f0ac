"""What a worker and its decoder say to each other: JSON, each part checked by who reads it.

A picture of a stranger may have taken the decoder over. Its answers are therefore read as those of
a stranger: no pickle, and no size beyond what was asked for.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.images.decode import ImageLimits
from schemas.records import Status

MAX_MESSAGE = 64 * 1024
MAX_PICTURES = 16
"""Of one request, so that their answers fit into a message."""
KEPT_BYTES = 16 * 2**20
"""Of shared memory between two pictures: fresh pages cost as much as small pictures."""
_MAX_DETAIL = 500
_FAILURES = frozenset({Status.IMAGE_CORRUPT, Status.IMAGE_TOO_LARGE, Status.IMAGE_TOO_SMALL})
_HEX = frozenset(string.hexdigits)


class NotAnAnswer(ValueError):
    """What came is not an answer to what was asked; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Pictures that are decoded one after another, at most `MAX_PICTURES`.

    only_size: headers are read, no pixel.
    num_bytes: of each encoded image.
    allowances: bytes that decoding of each may take besides what the process has; 0: as many as it
        likes.
    cpu_s: seconds of processor time of each.
    """

    only_size: bool
    num_bytes: tuple[int, ...]
    allowances: tuple[int, ...]
    limits: ImageLimits
    cpu_s: float

    def encode(self) -> bytes:
        """As `decode` reads it."""
        limits = self.limits
        parts = (limits.max_pixels, limits.min_side_px, limits.max_aspect)
        return json.dumps(
            (self.only_size, self.num_bytes, self.allowances, parts, self.cpu_s)
        ).encode()

    @classmethod
    def decode(cls, message: bytes) -> Request:
        """From the message of the worker, which is trusted."""
        only_size, num_bytes, allowances, (most, least, aspect), cpu_s = json.loads(message)
        return cls(
            only_size=only_size,
            num_bytes=tuple(num_bytes),
            allowances=tuple(allowances),
            limits=ImageLimits(max_pixels=most, min_side_px=least, max_aspect=aspect),
            cpu_s=cpu_s,
        )

    @property
    def max_pixel_bytes(self) -> int:
        """Of all answers together."""
        if self.only_size or len(self.num_bytes) > 1:
            return KEPT_BYTES
        return max(KEPT_BYTES, 3 * self.limits.max_pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one picture.

    width, height: upright; zero where it failed.
    failure: status and detail.
    may_be_memory: a failure that more memory could have prevented.
    has_room: False where its pixels did not fit beside those before it; alone they do.
    """

    width: int = 0
    height: int = 0
    sha256: str = ""
    failure: tuple[str, str] | None = None
    may_be_memory: bool = False
    has_room: bool = True


def encode_answers(answers: Sequence[Answer]) -> bytes:
    """As `decode_answers` reads them."""
    found = []
    for one in answers:
        status, detail = one.failure or ("", "")
        text = detail.encode(errors="backslashreplace").decode()[:_MAX_DETAIL]
        found.append(
            (one.width, one.height, one.sha256, status, text, one.may_be_memory, one.has_room)
        )
    return json.dumps(found, ensure_ascii=False).encode()


def decode_answers(message: bytes, request: Request) -> list[Answer]:
    """One for each picture of the request; their pixels together are within its limit.

    Raises:
        NotAnAnswer: it is anything else.
    """
    try:
        found = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise NotAnAnswer("it is not JSON") from error
    if not isinstance(found, list) or len(found) != len(request.num_bytes):
        raise NotAnAnswer(f"it is not a list of {len(request.num_bytes)} answers")
    answers = [_answer(one, request) for one in found]
    if not request.only_size:
        num_bytes = sum(3 * one.width * one.height for one in answers)
        if num_bytes > request.max_pixel_bytes:
            raise NotAnAnswer(f"it says {num_bytes:,} bytes of pixels")
    return answers


def _answer(found: Any, request: Request) -> Answer:
    if not isinstance(found, list) or [type(part) for part in found] != _TYPES:
        raise NotAnAnswer("its parts are of other types")
    width, height, sha256, status, detail, may_be_memory, has_room = found
    is_decoded = not status and has_room
    if is_decoded:
        if min(width, height) < 1 or width * height > request.limits.max_pixels:
            raise NotAnAnswer(f"a picture has {width} x {height} pixels")
        if len(sha256) != (0 if request.only_size else 64) or not _HEX.issuperset(sha256):
            raise NotAnAnswer("a sha256 is not one")
    elif width or height or sha256:
        raise NotAnAnswer("a picture that failed has a size")
    if status and (status not in _FAILURES or len(detail) > _MAX_DETAIL):
        raise NotAnAnswer("a reason is not one")
    try:
        detail.encode()
    except UnicodeEncodeError as error:
        raise NotAnAnswer("a reason is not text") from error
    return Answer(
        width=width,
        height=height,
        sha256=sha256,
        failure=(status, detail) if status else None,
        may_be_memory=may_be_memory,
        has_room=has_room,
    )


_TYPES = [int, int, str, str, str, bool, bool]
