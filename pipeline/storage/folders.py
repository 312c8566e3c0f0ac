"""Folders of the layers beside the annotations: what is in them, and clearing what is old."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.storage.errors import MissingFile, explained
from pipeline.storage.files import join_url, list_folder, place_of, remove
from pipeline.storage.store_place import StorePlace


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
    place = place_of(url)
    if not isinstance(place, StorePlace):
        return []
    with explained(url):
        written = place.times()
    now = written.get(newest)
    if now is None:
        return []
    gone = [
        name
        for name, at in sorted(written.items())
        if name.endswith(suffix) and name not in keep and now - at > kept_s
    ]
    for name in gone:
        remove(join_url(url, name))
    return gone
