"""Image paths as a corpus writes them to URIs that can be read from anywhere."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from pipeline.corpus.field_names import field_value
from pipeline.corpus.rows.delimited import NUMBERED
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import exists, is_local, join_url, list_folder
from pipeline.storage.parquet_cell import is_encoded
from schemas.records import Status

Problem = tuple[Status, str]
_TRIED = 5
"""So many images are looked for in every folder."""


def image_name(row: dict[str, Any], field: str) -> Any:
    """What a row says of its image: a path, also where it stands in an object or a list of one.

    Karpathy's splits keep the folder apart, in `filepath`. Lists of captions number the captions
    of an image: `name.jpg#0`.
    """
    value = field_value(row, field)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("path") or value.get("bytes") or value
    if not isinstance(value, str):
        return value
    if field == "filename" and isinstance(folder := row.get("filepath"), str) and "/" not in value:
        value = f"{folder}/{value}"
    if NUMBERED.fullmatch(value) and "://" not in value:
        value = value.rpartition("#")[0]
    return value


def find_folder(root: str, names: Sequence[str]) -> str:
    """The folder directly below `root` that holds the images; empty where `root` does, or none."""
    plain = [name for name in names if "://" not in name and not name.startswith("/")]
    if not plain or any(exists(join_url(root, name)) for name in plain[:_TRIED]):
        return ""
    try:
        _, folders = list_folder(root)
    except (MissingFile, OSError):
        return ""
    # Some may be missing: a few names in every folder, then all in a few.
    for tried, places in ((plain[:_TRIED], folders), (plain[_TRIED:], [root, *folders[:_TRIED]])):
        for place in places:
            if any(exists(join_url(place, name)) for name in tried):
                return "" if place == root else place.rstrip("/").rpartition("/")[2]
    return ""


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
    if is_encoded(value):
        detail = (
            f"the row holds an image as base64 text ({value[:12]}...), not its path: "
            "such images are read from Parquet; write the rows as Parquet, or the images as files"
        )
        return None, (Status.RECORD_INVALID, detail)
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
