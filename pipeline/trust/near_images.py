"""Images that are, or look like, one of a set: hashes of its files, and an index of near ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.gold.checks import require
from pipeline.gold.json_stream import stream_object
from pipeline.images.decode import ImageLimits, decode_image
from pipeline.images.fetch import read_image_uri
from pipeline.layers.perceptual_hash import (
    CROPS,
    HASH_BITS,
    crop_dhashes,
    pixels_sha256,
    turned_dhashes,
)
from schemas.errors import ConfigError, DataError, RecordError

MAX_DISTANCE = 15
MIN_SET_BITS = 8
"""An image whose hash has fewer bits set (or not set) is nearly flat: it is near to any other."""
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
TURNS = 8
"""Ways to turn and mirror an image."""
_LIMITS = ImageLimits(max_pixels=2**30, min_side_px=1, max_aspect=1e9)
_WORDS = HASH_BITS // 64
_COMPARED = 2**20
"""Hashes that are compared at once, about."""
_MIXED = 2**16
_DIAGONALS = [8 * row + (row + turn) % 8 for turn in range(8) for row in range(HASH_BITS // 8)]
"""All bits of a hash, of every row of eight one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHashes:
    """Images of another set: N names, and what is known of their content."""

    name: str
    names: tuple[str, ...]
    files: Mapping[str, int]
    """SHA-256 of the file -> place of a name."""
    pixels: Mapping[str, int]
    """SHA-256 of the pixels -> place of a name."""
    hashes: NDArray[np.uint64]
    """[N x TURNS, 2], of each image as it is, turned and mirrored; zeros of a nearly flat one."""
    crops: NDArray[np.uint64]
    """[N x CROPS, 2], of parts of each image; zeros where there is none."""
    unreadable: tuple[str, ...] = ()
    """`<name>: <reason>` of those left out."""


def image_files(against: str, images: str = "") -> list[str]:
    """Paths of the images of a folder, or of a COCO file.

    Args:
        against: a folder (and those in it), or a JSON file with `images[].file_name`.
        images: where the files of a COCO file are; its own folder if not given.

    Raises:
        ConfigError: neither of these, or without any image.
    """
    path = Path(against)
    if path.is_dir():
        if images:
            raise ConfigError(f"images is for a COCO file; against {against!r} is a folder")
        found = sorted(
            os.path.join(folder, name)
            for folder, names in _folders(path)
            for name in names
            if name.lower().endswith(ENDINGS)
        )
        if not found:
            raise ConfigError(f"against: folder {against!r} has no image ({', '.join(ENDINGS)})")
        return found
    if not path.is_file():
        raise ConfigError(f"against must be a folder of images or a COCO file, got {against!r}")
    names: list[str] = []
    keys: set[str] = set()
    try:
        for key, number, entry in stream_object(against):
            keys.add(key)
            if key == "images" and number is not None:
                names.append(require(entry, "file_name", str, f"images[{number}]"))
        if "images" not in keys:
            raise DataError("images must be list, got None")
    except DataError as error:
        raise ConfigError(
            f"against: {against!r} is not a COCO file with images[].file_name: {error}"
        ) from error
    if not names:
        raise ConfigError(f"against: {against!r} names no image")
    root = Path(images) if images else path.parent
    if not (root / names[0]).exists() and not images:
        raise ConfigError(
            f"against: {against!r} names {names[0]!r}, which is not in {str(root)!r}; give "
            "--images with the folder of its images"
        )
    return [str(root / name) for name in dict.fromkeys(names)]


def _folders(path: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and those in it with the names of their files, each once: a link may lead back."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        if (place := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(place)
        yield folder, names


def hash_images(
    name: str,
    paths: Sequence[str],
    *,
    workers: int = 4,
    progress: Callable[[int], object] = lambda done: None,
) -> ImageHashes:
    """Read and hash images; one that cannot be read is named, and the others go on.

    Raises:
        ConfigError: none can be read.
    """
    names: list[str] = []
    files: dict[str, int] = {}
    pixels: dict[str, int] = {}
    hashes: list[str] = []
    crops: list[NDArray[np.uint64]] = []
    unreadable: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        for done, (path, found) in enumerate(zip(paths, pool.map(_hashed, paths), strict=True)):
            progress(done + 1)
            if isinstance(found, RecordError):
                unreadable.append(f"{path}: {found.detail}")
                continue
            file, content, looks, parts = found
            files.setdefault(file, len(names))
            pixels.setdefault(content, len(names))
            names.append(path)
            hashes += looks
            crops.append(as_words(parts))
    if not names:
        raise ConfigError(f"against: no image of {name!r} can be read; the first: {unreadable[0]}")
    return ImageHashes(
        name=name,
        names=tuple(names),
        files=files,
        pixels=pixels,
        hashes=as_words(hashes),
        crops=np.concatenate(crops),
        unreadable=tuple(unreadable),
    )


def _hashed(path: str) -> tuple[str, str, list[str], list[str]] | RecordError:
    try:
        image = decode_image(read_image_uri(path), _LIMITS)
    except RecordError as error:
        return error
    looks, none = turned_dhashes(image.array), "0" * (HASH_BITS // 4)
    if is_flat(as_words(looks[:1]))[0]:
        looks, crops = [none] * TURNS, [none] * CROPS
    else:
        crops = [crop or none for crop in crop_dhashes(image.array)]
    return image.sha256, pixels_sha256(image.array), looks, crops


def as_words(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """Hex digits as uint64 [N, 2]."""
    data = bytes.fromhex("".join(hashes))
    return np.frombuffer(data, dtype=">u8").astype(np.uint64).reshape(-1, _WORDS)


def is_flat(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """[N], hashes that say next to nothing."""
    ones = np.bitwise_count(hashes).sum(axis=1)
    return np.asarray((ones < MIN_SET_BITS) | (ones > HASH_BITS - MIN_SET_BITS))


class NearIndex:
    """Finds hashes within a distance, all of them and no others.

    Two hashes that differ in d bits agree in at least one of d + 1 parts, so only those that share
    a part are compared.
    """

    def __init__(self, hashes: NDArray[np.uint64], max_distance: int) -> None:
        if not 0 <= max_distance <= MAX_DISTANCE:
            raise ConfigError(f"max_distance must be in [0, {MAX_DISTANCE}], got {max_distance}")
        self._max = max_distance
        self._hashes = hashes
        self._usable = np.flatnonzero(~is_flat(hashes))
        width = np.uint16 if max_distance < HASH_BITS // 16 else np.uint8
        self._width = width
        parts = _parts(hashes[self._usable], width)
        self._order = [
            np.argsort(parts[:, n], kind="stable").astype(np.uint32) for n in range(parts.shape[1])
        ]
        self._sorted = [parts[order, n] for n, order in enumerate(self._order)]

    def nearest(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each of [M] hashes the place of the nearest one within the distance, and the
        distance; -1 where there is none. Flat ones have none."""
        best = np.full(len(hashes), -1, dtype=np.int64)
        distance = np.full(len(hashes), HASH_BITS + 1, dtype=np.int64)
        for rows, places, far in self._within(hashes):
            # The farthest first, so that of several the nearest is written last.
            for one in np.argsort(-far, kind="stable"):
                row = rows[one]
                if far[one] < distance[row]:
                    best[row], distance[row] = places[one], far[one]
        return best, np.where(best < 0, -1, distance)

    def pairs(self) -> NDArray[np.int64]:
        """[P, 2], places of two hashes of the index within the distance, the lower place first; a
        pair may come several times. Flat ones are in none."""
        found = [
            np.stack([rows, places], axis=1)[rows < places]
            for rows, places, _ in self._within(self._hashes)
        ]
        return np.concatenate(found).astype(np.int64)

    def _within(
        self, hashes: NDArray[np.uint64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Part by part: places in `hashes`, those in the index, and the distances of what is
        near."""
        mine = np.flatnonzero(~is_flat(hashes))
        parts = _parts(hashes[mine], self._width)
        for number, (order, values) in enumerate(zip(self._order, self._sorted, strict=True)):
            starts = np.searchsorted(values, parts[:, number], side="left")
            counts = np.searchsorted(values, parts[:, number], side="right") - starts
            block = np.cumsum(counts) // _COMPARED
            for own in np.split(np.arange(len(mine)), np.flatnonzero(np.diff(block)) + 1):
                sizes = counts[own]
                rows = np.repeat(own, sizes)
                first = np.repeat(starts[own] - (np.cumsum(sizes) - sizes), sizes)
                places = self._usable[order[first + np.arange(len(rows))]]
                far = np.bitwise_count(hashes[mine[rows]] ^ self._hashes[places]).sum(axis=1)
                near = np.flatnonzero(far <= self._max)
                yield mine[rows[near]], places[near], far[near].astype(np.int64)


def _parts(hashes: NDArray[np.uint64], width: type) -> NDArray[Any]:
    """[N, parts]. A part holds bits from all over the image: neighbours are alike, so that all
    skies would share theirs."""
    rows = np.ascontiguousarray(hashes).view(np.uint8)
    mixed = np.empty_like(rows)
    for start in range(0, len(rows), _MIXED):
        bits = np.unpackbits(rows[start : start + _MIXED], axis=1)
        mixed[start : start + _MIXED] = np.packbits(bits[:, _DIAGONALS], axis=1)
    return mixed.view(width)
