"""Image paths as a corpus writes them to URIs that can be read from anywhere."""

from __future__ import annotations

import posixpath
from typing import Any

from pipeline.storage.files import exists, is_local, join_url
from schemas.records import Status

Problem = tuple[Status, str]


def resolve_image(value: Any, root: str, *, inside: bool) -> tuple[str | None, Problem | None]:
    """The URI of an image path, or what is wrong with it.

    inside: the path must be relative and stay below `root`; else absolute paths and URLs pass.
    """
    if value is None or value == "":
        return None, (Status.IMAGE_MISSING, "the row names no image")
    if not isinstance(value, str):
        return None, (
            Status.RECORD_INVALID,
            f"the image must be a path, got {type(value).__name__} {str(value)[:40]!r}",
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        return None, (Status.RECORD_INVALID, f"the image path {value!r} is not valid text")
    if "\0" in value:
        return None, (Status.RECORD_INVALID, f"the image path {value!r} holds a NUL character")
    if "://" in value or value.startswith("/"):
        if inside:
            return None, (Status.RECORD_INVALID, f"the image path {value!r} must be relative")
        return value, None
    if "\\" in value and not (is_local(root) and exists(join_url(root, value))):
        value = value.replace("\\", "/")  # written on Windows
    if leaves_folder(value):
        return None, (Status.RECORD_INVALID, f"the image path {value!r} leaves the corpus folder")
    return join_url(root, posixpath.normpath(value)), None


def leaves_folder(path: str) -> bool:
    """True where a relative path climbs out of the folder it starts in."""
    return posixpath.normpath(path).split("/")[0] == ".."
