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

from pipeline.training_set.pictures import ImageLoader, require_size
from schemas.damage import whole
from schemas.errors import DataError, RecordError
from schemas.fingerprint import fingerprint

CACHE_VERSION = 2


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
    row; `index.json` names the URI of each row, its size there and its size in the file. It is
    published by a rename, so a directory that exists is complete. A picture that could not be read
    has no size: it is read from its own place each time, so that mending it is enough.

    Args:
        directory: Where it is.
        load: Reads a picture that is not in it.
    """

    def __init__(self, directory: Path, load: ImageLoader) -> None:
        path = directory / "index.json"
        with whole(str(path), "delete the directory, it is made again"):
            index = dict(json.loads(path.read_bytes()))
        if index.get("version") != CACHE_VERSION:
            raise DataError(
                f"{directory}/index.json has version {index.get('version')!r}; this glipforge "
                f"reads version {CACHE_VERSION}; delete the directory"
            )
        self.directory = directory
        self.side: int = index["side"]
        self._rows = {uri: row for row, uri in enumerate(index["uris"])}
        self._sizes: list[list[int]] = index["sizes"]
        self._original_sizes: list[list[int]] = index["original_sizes"]
        self._load = load
        self._pixels = np.memmap(
            directory / "images.u8",
            dtype=np.uint8,
            mode="r",
            shape=(len(self._rows), self.side, self.side, 3),
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, uri: str, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
        """The picture of this size in its file, as cached: a read-only view [height, width, 3].

        Raises:
            RecordError: it cannot be read, or has another size.
            DataError: it was not asked for when the cache was built.
        """
        row = self._rows.get(uri)
        if row is None:
            raise DataError(f"{self.directory} does not hold the image {uri!r}")
        height, width = self._sizes[row]
        if not height:
            image = self._load(uri)
            require_size(uri, (image.shape[1], image.shape[0]), size_wh)
            return fit_within(image, self.side)
        original_height, original_width = self._original_sizes[row]
        require_size(uri, (original_width, original_height), size_wh)
        return self._pixels[row, :height, :width]


def build_cache(
    root: Path,
    uris: Iterable[str],
    load: ImageLoader,
    *,
    side: int,
    version: Callable[[str], str] = lambda uri: "",
    num_threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ImageCache:
    """Decode every image once; a cache of the same images and size that exists is opened.

    Args:
        root: Caches live below it, each in a directory named by its content.
        uris: Images; duplicates are stored once.
        load: Decodes one image. One that raises a RecordError is left out of the cache; what else
            it raises ends the building, and leaves nothing behind.
        side: Longer side in pixels that no cached image exceeds.
        version: Of the file of an image: another picture in its place is another image.
        num_threads: Threads that decode.
        progress: Called with (images done, images in all) now and then.
    """
    unique = list(dict.fromkeys(uris))
    versions = [version(uri) for uri in unique]
    target = root / f"images-{side}-{fingerprint([CACHE_VERSION, side, unique, versions])}"
    if target.exists():
        return ImageCache(target, load)
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    staging.mkdir(parents=True)
    try:
        sizes, originals = _fill(staging / "images.u8", unique, load, side, num_threads, progress)
        index = {
            "version": CACHE_VERSION,
            "side": side,
            "uris": unique,
            "sizes": sizes,
            "original_sizes": originals,
        }
        (staging / "index.json").write_text(json.dumps(index))
        try:
            os.replace(staging, target)
        except OSError:
            if not target.exists():  # otherwise another process published the same content
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return ImageCache(target, load)


def _fill(
    path: Path,
    uris: list[str],
    load: ImageLoader,
    side: int,
    num_threads: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Write all pixels; (height, width) of each picture as cached and as loaded, (0, 0): neither"""
    sizes: list[tuple[int, int]] = []
    originals: list[tuple[int, int]] = []

    def picture(uri: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        try:
            image = load(uri)
        except RecordError:
            return np.zeros((0, 0, 3), dtype=np.uint8), (0, 0)
        return fit_within(image, side), (image.shape[0], image.shape[1])

    # Written, not mapped: a disk that is full would end the process by a signal.
    with path.open("wb") as stream, ThreadPoolExecutor(num_threads) as pool:
        stream.truncate(max(len(uris), 1) * side * side * 3)
        chunk = 256  # bounds the decoded images that wait to be written
        for start in range(0, len(uris), chunk):
            images = pool.map(picture, uris[start : start + chunk])
            for row, (image, original) in enumerate(images, start=start):
                height, width = image.shape[:2]
                lines = np.zeros((height, side, 3), np.uint8)
                lines[:, :width] = image
                stream.seek(row * side * side * 3)
                stream.write(lines.data)
                sizes.append((height, width))
                originals.append(original)
            if progress is not None:
                progress(len(sizes), len(uris))
    return sizes, originals
