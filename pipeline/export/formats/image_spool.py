"""Entries of images, one per file name, kept aside until the end: memory holds what comes late."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pipeline.export.writer import Item

OTHER_SIZE = "pair whose image has another size than an earlier pair of the same file name"


def json_text(value: Any) -> str:
    """Compact JSON of one line."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class ImageSpool:
    """One entry per image, in the order in which images come; later captions are added to it.

    Captions of one image mostly follow one another. Those that do not are kept in memory and put in
    when the entries are read back.
    """

    def __init__(self, path: Path, *, keep_pairs: bool = False) -> None:
        self._path = path
        self._stream: IO[str] = path.open("w", encoding="utf-8", newline="\n")
        self._keep_pairs = keep_pairs
        self._known: dict[int, tuple[int, int, int]] = {}
        """File name, hashed -> number of the entry, width, height."""
        self._late: dict[int, list[dict[str, Any]]] = {}
        self._counts: dict[int, int] = {}
        """Entries with more than one caption -> how many."""
        self._last: dict[str, Any] | None = None
        self.num_images = 0

    def add(self, item: Item, entry: dict[str, Any]) -> tuple[int, int] | None:
        """(Number of the image's entry from 1, place of this caption in it).

        `entry` is written where the image is new, or extends the image's entry with its lists.
        None where the image has another size than before.
        """
        size = (item.record.width, item.record.height)
        name = item.file_name
        key = int.from_bytes(
            hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
        )
        found = None if self._keep_pairs else self._known.get(key)
        if found is None:
            self._write_last()
            self.num_images += 1
            if not self._keep_pairs:
                self._known[key] = (self.num_images, *size)
            self._last = entry
            return self.num_images, 0
        number = found[0]
        if found[1:] != size:
            return None
        self._counts[number] = self._counts.get(number, 1) + 1
        if number == self.num_images and self._last is not None:
            extend(self._last, entry)
        else:
            self._late.setdefault(number, []).append(entry)
        return number, self._counts[number] - 1

    def seal(self) -> None:
        """Write out what is in memory and close the file."""
        self._write_last()
        self._stream.close()

    def entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every entry with its number; the spool file is removed behind the last one."""
        self.seal()
        with self._path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                entry = json.loads(line)
                for late in self._late.get(number, ()):
                    extend(entry, late)
                yield number, entry
        self._path.unlink()

    def lines(self) -> Iterator[str]:
        """Every entry as its JSON text."""
        self.seal()
        with self._path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                late = self._late.get(number)
                if late is None:
                    yield line.rstrip("\n")
                    continue
                entry = json.loads(line)
                for more in late:
                    extend(entry, more)
                yield json_text(entry)
        self._path.unlink()

    def _write_last(self) -> None:
        if self._last is not None:
            self._stream.write(json_text(self._last) + "\n")
            self._last = None


_STATED = ("license", "coco_url", "flickr_url")
"""Of an image, whichever of its captions brings it."""


def extend(entry: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the lists of another entry of the same image to those of this one, and what that alone
    states of the image."""
    for key, value in more.items():
        if key in _STATED:
            entry.setdefault(key, value)
        elif isinstance(value, list):
            entry[key] = [*entry.get(key, ()), *value]
        elif isinstance(value, dict):
            extend(entry.setdefault(key, {}), value)
