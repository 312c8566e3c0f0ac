"""Which pairs of a run show an image of a test set: exact copies and near ones.

A model that was trained on its test images measures nothing. Exact is the same file or the same
pixels; near is a perceptual hash (`pipeline/layers/perceptual_hash.py`) that differs in few bits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import with_config

from pipeline.images.decode import ImageLimits, decode_image
from pipeline.images.fetch import read_image_uri
from pipeline.layers.perceptual_hash import HASH_BITS, dhash, pixels_sha256
from pipeline.layers.store import LayerStore
from pipeline.run.columns import unit_tables
from pipeline.run.open import annotations_id
from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from schemas.checked import STRICT, from_json, to_plain
from schemas.errors import ConfigError, DataError, RecordError

LEAKAGE = "leakage.json"
LEAKAGE_VERSION = 1
MAX_DISTANCE = 15
MIN_SET_BITS = 8
"""An image whose hash has fewer bits set (or not set) is nearly flat: it is near to any other."""
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
_LIMITS = ImageLimits(max_pixels=2**30, min_side_px=1, max_aspect=1e9)
_WORDS = HASH_BITS // 64


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A pair whose image is, or looks like, one of the other set."""

    record_id: str
    image_uri: str
    kind: Literal["exact", "near"]
    other: str
    """Name of the other image."""
    against: str
    distance: int
    """Bits of 128 in which the hashes differ; 0 for an exact copy."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """`RUN/leakage.json`: what was found, and in what."""

    annotations_id: str
    """Of the labels that were looked at."""
    against: Mapping[str, int]
    """Set -> its images."""
    unreadable: Mapping[str, int]
    """Set -> images of it that could not be read."""
    max_distance: int
    pairs: int
    flat: int
    """Pairs whose image is nearly flat: only exact copies of it are looked for."""
    unhashed: int
    """Pairs whose image could not be read again: only the same file is found."""
    leaks: tuple[Leak, ...] = ()
    """The nearest one for each pair and set."""
    version: int = LEAKAGE_VERSION

    def record_ids(self) -> frozenset[str]:
        """The pairs that leak."""
        return frozenset(leak.record_id for leak in self.leaks)


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
    """[N, 2]"""
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
            str(Path(folder) / name)
            for folder, _, names in os.walk(path, followlinks=True)
            for name in names
            if name.lower().endswith(ENDINGS)
        )
        if not found:
            raise ConfigError(f"against: folder {against!r} has no image ({', '.join(ENDINGS)})")
        return found
    if not path.is_file():
        raise ConfigError(f"against must be a folder of images or a COCO file, got {against!r}")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        names = [str(entry["file_name"]) for entry in raw["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"against: {against!r} is not a COCO file with images[].file_name: {error!r}"
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
    unreadable: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        for done, (path, found) in enumerate(zip(paths, pool.map(_hashed, paths), strict=True)):
            progress(done + 1)
            if isinstance(found, RecordError):
                unreadable.append(f"{path}: {found.detail}")
                continue
            file, content, looks = found
            files.setdefault(file, len(names))
            pixels.setdefault(content, len(names))
            names.append(path)
            hashes.append(looks)
    if not names:
        raise ConfigError(f"against: no image of {name!r} can be read; the first: {unreadable[0]}")
    return ImageHashes(
        name=name,
        names=tuple(names),
        files=files,
        pixels=pixels,
        hashes=as_words(hashes),
        unreadable=tuple(unreadable),
    )


def _hashed(path: str) -> tuple[str, str, str] | RecordError:
    try:
        image = decode_image(read_image_uri(path), _LIMITS)
    except RecordError as error:
        return error
    return image.sha256, pixels_sha256(image.array), dhash(image.array)


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
        self._order = [np.argsort(parts[:, n], kind="stable") for n in range(parts.shape[1])]
        self._sorted = [parts[order, n] for n, order in enumerate(self._order)]

    def nearest(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each of [M] hashes the place of the nearest one within the distance, and the
        distance; -1 where there is none. Flat ones have none."""
        best = np.full(len(hashes), -1, dtype=np.int64)
        distance = np.full(len(hashes), HASH_BITS + 1, dtype=np.int64)
        mine = np.flatnonzero(~is_flat(hashes))
        parts = _parts(hashes[mine], self._width)
        for number, (order, values) in enumerate(zip(self._order, self._sorted, strict=True)):
            starts = np.searchsorted(values, parts[:, number], side="left")
            counts = np.searchsorted(values, parts[:, number], side="right") - starts
            rows = np.repeat(np.arange(len(mine)), counts)
            first = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
            places = self._usable[order[first + np.arange(len(rows))]] if len(rows) else rows
            far = np.bitwise_count(hashes[mine[rows]] ^ self._hashes[places]).sum(axis=1)
            near = np.flatnonzero(far <= self._max)
            # The farthest first, so that of several the nearest is written last.
            for one in near[np.argsort(-far[near].astype(np.int64), kind="stable")]:
                row = mine[rows[one]]
                if far[one] < distance[row]:
                    best[row], distance[row] = places[one], far[one]
        return best, np.where(best < 0, -1, distance)


def _parts(hashes: NDArray[np.uint64], width: type) -> NDArray[Any]:
    count = HASH_BITS // (8 * np.dtype(width).itemsize)
    return np.ascontiguousarray(hashes).view(width).reshape(len(hashes), count)


@dataclass(kw_only=True)
class _Counts:
    pairs: int = 0
    flat: int = 0
    unhashed: int = 0
    leaks: list[Leak] = field(default_factory=list)


def find_leakage(
    run: RunStore,
    others: Sequence[ImageHashes],
    *,
    max_distance: int,
    progress: Callable[[int], object] = lambda done: None,
) -> Leakage:
    """The pairs of a run that leak; the run needs its layer `duplicates`, in whole.

    Raises:
        ConfigError: the layer is missing or lacks units, or `max_distance` is out of range.
    """
    layer = LayerStore(run, "duplicates")
    layer.layer()
    if missing := layer.pending():
        raise ConfigError(
            f"layer 'duplicates' of run {run.uri!r} lacks {len(missing):,} units; `glipforge "
            "enrich --with duplicates` on the run goes on"
        )
    found = _Counts()
    indices = [NearIndex(other.hashes, max_distance) for other in others]
    commits = layer.commits()
    for unit_id, source in run.commits().items():
        hashes = layer.read(commits[unit_id])
        place_of = {key: n for n, key in enumerate(hashes.column("record_id").to_pylist())}
        rows = hashes.to_pylist()
        for table in unit_tables(run, source, ("record_id", "image_uri", "image_sha256")):
            pairs = table.select(["record_id", "image_uri", "image_sha256"]).to_pylist()
            own = [rows[place_of[pair["record_id"]]] for pair in pairs]
            for other, index in zip(others, indices, strict=True):
                found.leaks += _of_set(pairs, own, other, index)
            readable = [row["dhash"] for row in own if row["dhash"]]
            found.pairs += len(pairs)
            found.unhashed += len(pairs) - len(readable)
            found.flat += int(is_flat(as_words(readable)).sum())
        progress(found.pairs)
    return Leakage(
        annotations_id=annotations_id(run),
        against={other.name: len(other.names) for other in others},
        unreadable={other.name: len(other.unreadable) for other in others},
        max_distance=max_distance,
        pairs=found.pairs,
        flat=found.flat,
        unhashed=found.unhashed,
        leaks=tuple(found.leaks),
    )


def _of_set(
    pairs: Sequence[Mapping[str, str]],
    rows: Sequence[Mapping[str, str | None]],
    other: ImageHashes,
    index: NearIndex,
) -> Iterator[Leak]:
    blank = "0" * (HASH_BITS // 4)  # flat: never near
    places, distances = index.nearest(as_words([row["dhash"] or blank for row in rows]))
    for pair, row, place, distance in zip(pairs, rows, places, distances, strict=True):
        exact = other.files.get(pair["image_sha256"])
        if exact is None:
            exact = other.pixels.get(row["pixels_sha256"] or "")
        if exact is None and place < 0:
            continue
        yield Leak(
            record_id=pair["record_id"],
            image_uri=pair["image_uri"],
            kind="near" if exact is None else "exact",
            other=other.names[int(place) if exact is None else exact],
            against=other.name,
            distance=int(distance) if exact is None else 0,
        )


def write_leakage(run: RunStore, found: Leakage) -> str:
    """Replace RUN/leakage.json; returns its address."""
    text = json.dumps(to_plain(found), indent=1, sort_keys=True, ensure_ascii=False)
    run.write_text_atomic(text, LEAKAGE)
    return run.url(LEAKAGE)


def read_leakage(run: RunStore) -> Leakage:
    """What `glipforge leakage` found about the labels as they are.

    Raises:
        ConfigError: it was not asked for, or units were committed since.
    """
    again = f"run `glipforge leakage {run.uri} --against FOLDER`"
    try:
        text = run.read_text(LEAKAGE)
    except MissingFile as error:
        raise ConfigError(f"run {run.uri!r} was not compared with a test set: {again}") from error
    found = from_json(
        Leakage,
        text,
        where=run.url(LEAKAGE),
        what="leakage report",
        version=LEAKAGE_VERSION,
        error=DataError,
    )
    if found.annotations_id != annotations_id(run):
        raise ConfigError(f"{run.url(LEAKAGE)} is older than the labels of the run: {again}")
    return found


def leaking(run: RunStore) -> Collection[str]:
    """The record ids that an export leaves out.

    Raises:
        ConfigError: as `read_leakage`.
    """
    return read_leakage(run).record_ids()
