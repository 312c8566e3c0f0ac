"""Folders of the layers beside the annotations: what is in them, and clearing what is old."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from pipeline.storage.errors import MissingFile, explained
from pipeline.storage.files import filesystem_of, join_url, list_folder, remove

_TIMES = ("LastModified", "mtime", "modified", "updated", "created")


def list_files(url: str, *, suffix: str) -> list[str]:
    """Names of the files directly in a folder, sorted; none where the folder is missing."""
    try:
        files, _ = list_folder(url)
    except MissingFile:
        return []
    names = (file.uri.rpartition("/")[2] for file in files)
    # A dot leads the names of files that are being written.
    return sorted(name for name in names if name.endswith(suffix) and not name.startswith("."))


def list_folders(url: str) -> list[str]:
    """Names of the folders directly in a folder, sorted; none where it is missing."""
    try:
        _, folders = list_folder(url)
    except MissingFile:
        return []
    return sorted(folder.rstrip("/").rpartition("/")[2] for folder in folders)


def remove_other_files(url: str, keep: Collection[str], *, suffix: str) -> list[str]:
    """Delete the files of a folder that are not to be kept; returns their names."""
    gone = [name for name in list_files(url, suffix=suffix) if name not in keep]
    for name in gone:
        remove(join_url(url, name))
    return gone


def remove_old_files(
    url: str, keep: Collection[str], *, suffix: str, newest: str, kept_s: float
) -> list[str]:
    """As `remove_other_files` on a store, but for files younger than `kept_s` seconds.

    Ages are told by the store's own times against the file `newest`: no two clocks are compared.
    """
    with explained(url):
        filesystem, path = filesystem_of(url)
        entries = filesystem.ls(path, detail=True)
    written = {str(entry["name"]).rpartition("/")[2]: _written_at(entry) for entry in entries}
    now = written.get(newest)
    if now is None:
        return []
    gone = [
        name
        for name, at in sorted(written.items())
        if name.endswith(suffix) and name not in keep and at is not None and now - at > kept_s
    ]
    for name in gone:
        remove(join_url(url, name))
    return gone


def _written_at(entry: dict[str, Any]) -> float | None:
    """Seconds; None where the store does not say it."""
    at = next((entry[key] for key in _TIMES if entry.get(key)), None)
    if isinstance(at, str):
        with contextlib.suppress(ValueError):
            at = datetime.fromisoformat(at)
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return float(at) if isinstance(at, int | float) else None
