"""The samples of a WebDataset tar: members in a row that share a key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from pipeline.storage.inflation import GZIP_ERRORS
from pipeline.storage.tar_members import (
    TarDamage,
    TarMember,
    iter_members,
    open_tar,
)
from schemas.errors import GlipforgeError

IMAGE_ENDINGS = (
    "jpg",
    "jpeg",
    "png",
    "webp",
    "gif",
    "bmp",
    "tif",
    "tiff",
    "jp2",
    "avif",
    "ppm",
    "heic",
    "heif",
)
TEXT_ENDINGS = ("txt", "caption")
_KEY = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.DOTALL)
_DOTTED_KEY = re.compile(r"((?:.*/)?[^/]+)\.([^/.]+)", re.DOTALL)
"""Keys of tars that were packed from names such as `frame.0001.jpg`."""
_LOOKED_AT = 64


@dataclass(slots=True)
class Sample:
    """Members in a row that share a key."""

    key: str
    header_start: int
    members: dict[str, TarMember] = field(default_factory=dict)
    """By ending, in lower case."""


def has_dotted_keys(uri: str) -> bool:
    """True where the first samples have an image and a text only if keys end at the last dot."""
    try:
        with open_tar(uri) as stream:
            plain = list(islice(iter_samples(stream, 0, None), _LOOKED_AT))
            if not plain or any(map(_has_image, plain)):
                return False
        with open_tar(uri) as stream:
            dotted = list(islice(iter_samples(stream, 0, None, True), _LOOKED_AT))
    except (GlipforgeError, OSError, TarDamage, *GZIP_ERRORS):
        return False  # reading it says why
    return any(
        _has_image(sample) and not sample.members.keys().isdisjoint((*TEXT_ENDINGS, "json"))
        for sample in dotted
    )


def iter_samples(
    stream: BinaryIO, start: int, stop: int | None, dotted: bool = False
) -> Iterator[Sample]:
    """Samples whose first header begins in [start, stop).

    A key ends at the first dot of a name, or where they are `dotted` at the last.

    Folders, hidden files and members without an ending belong to no sample, as in WebDataset. A
    key that comes back, or an ending that repeats, begins a new sample.

    Raises:
        TarDamage, GZIP_ERRORS: behind the last sample whose first header could be read.
    """
    sample: Sample | None = None
    try:
        for member in iter_members(stream, start, stop):
            named = _key_and_ending(member, dotted)
            if named is None:
                continue
            key, ending = named
            if sample is None or sample.key != key or ending in sample.members:
                if sample is not None:
                    yield sample
                sample = Sample(key, member.header_start)
            sample.members[ending] = member
    except (TarDamage, *GZIP_ERRORS):
        if sample is not None:
            yield sample
        raise
    if sample is not None:
        yield sample


def _has_image(sample: Sample) -> bool:
    return not sample.members.keys().isdisjoint(IMAGE_ENDINGS)


def _key_and_ending(member: TarMember, dotted: bool) -> tuple[str, str] | None:
    name = member.name.removeprefix("./")
    base = name.rpartition("/")[2]
    if member.kind == "folder" or base.startswith((".", "__")) or name.startswith("__MACOSX/"):
        return None
    found = (_DOTTED_KEY if dotted else _KEY).fullmatch(name)
    return None if found is None else (found.group(1), found.group(2).lower())
