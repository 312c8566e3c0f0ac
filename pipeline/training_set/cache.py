"""Decoded images in one memory-mapped file, so that a small model never waits for its loader."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DataError, RecordError
from schemas.fingerprint import fingerprint
from schemas.records import Status

CACHE_VERSION = 1
ImageLoader = Callable[[str], NDArray[np.uint8]]
"""Image URI -> uint8 RGB [height, width, 3], EXIF applied."""


def fit_within(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The image with its longer side at most `side` pixels; never enlarged."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1.0:
        return image
    from PIL import Image

    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


class ImageCache:
    """Images of at most `side` x `side` pixels, read back without decoding.

    One directory: `images.u8` is uint8 [rows, side, side, 3], every image at the top left of its
    row; `index.json` names the URI and the size of each row. It is published by a rename, so a
    directory that exists is complete.
    """

    def __init__(self, directory: Path) -> None:
        index = json.loads((directory / "index.json").read_text())
        if index.get("version") != CACHE_VERSION:
            raise DataError(
                f"{directory}/index.json has version {index.get('version')!r}; this glipforge "
                f"reads version {CACHE_VERSION}; delete the directory"
            )
        self.directory = directory
        self.side: int = index["side"]
        self._rows = {uri: row for row, uri in enumerate(index["uris"])}
        self._sizes: list[list[int]] = index["sizes"]
        self._failures: dict[str, str] = index.get("failures", {})
        self._pixels = np.memmap(
            directory / "images.u8",
            dtype=np.uint8,
            mode="r",
            shape=(len(self._rows), self.side, self.side, 3),
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, uri: str) -> NDArray[np.uint8]:
        """The cached image: a read-only view [height, width, 3].

        Raises:
            RecordError: the image could not be read when the cache was built.
            DataError: the image was not asked for then.
        """
        if uri in self._failures:
            raise RecordError(
                Status.IMAGE_MISSING,
                f"{self._failures[uri]} (as cached in {self.directory}; delete it to try again)",
            )
        row = self._rows.get(uri)
        if row is None:
            raise DataError(f"{self.directory} does not hold the image {uri!r}")
        height, width = self._sizes[row]
        return self._pixels[row, :height, :width]


def build_cache(
    root: Path,
    uris: Iterable[str],
    load: ImageLoader,
    *,
    side: int,
    num_threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ImageCache:
    """Decode every image once; a cache of the same images and size that exists is opened.

    Args:
        root: Caches live below it, each in a directory named by its content.
        uris: Images; duplicates are stored once.
        load: Decodes one image. A RecordError is kept in the image's place; what else it raises
            ends the building, and leaves nothing behind.
        side: Longer side in pixels that no cached image exceeds.
        num_threads: Threads that decode.
        progress: Called with (images done, images in all) now and then.
    """
    unique = list(dict.fromkeys(uris))
    target = root / f"images-{side}-{fingerprint([CACHE_VERSION, side, unique])}"
    if target.exists():
        return ImageCache(target)
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    staging.mkdir(parents=True)
    try:
        failures: dict[str, str] = {}

        def picture(uri: str) -> NDArray[np.uint8]:
            try:
                return fit_within(load(uri), side)
            except RecordError as error:
                failures[uri] = str(error)
                return np.zeros((0, 0, 3), dtype=np.uint8)

        sizes = _fill(staging / "images.u8", unique, picture, side, num_threads, progress)
        index = {"version": CACHE_VERSION, "side": side, "uris": unique, "sizes": sizes}
        index["failures"] = dict(sorted(failures.items()))
        (staging / "index.json").write_text(json.dumps(index))
        try:
            os.replace(staging, target)
        except OSError:
            if not target.exists():  # otherwise another process published the same content
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return ImageCache(target)


def _fill(
    path: Path,
    uris: list[str],
    load: ImageLoader,
    side: int,
    num_threads: int,
    progress: Callable[[int, int], None] | None,
) -> list[list[int]]:
    pixels = np.memmap(path, dtype=np.uint8, mode="w+", shape=(max(len(uris), 1), side, side, 3))
    sizes: list[list[int]] = []
    with ThreadPoolExecutor(num_threads) as pool:
        chunk = 256  # bounds the decoded images that wait to be written
        for start in range(0, len(uris), chunk):
            images = pool.map(load, uris[start : start + chunk])
            for row, image in enumerate(images, start=start):
                height, width = image.shape[:2]
                pixels[row, :height, :width] = image
                sizes.append([height, width])
            if progress is not None:
                progress(len(sizes), len(uris))
    pixels.flush()
    return sizes
