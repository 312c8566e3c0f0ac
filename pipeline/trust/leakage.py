"""Which pairs of a run show an image of a test set: exact copies and near ones.

A model that was trained on its test images measures nothing. Exact is the same file or the same
pixels; near is a perceptual hash (`pipeline/layers/perceptual_hash.py`) that differs in few bits,
and crop is one that is near to a part of the other image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import with_config

from pipeline.layers.perceptual_hash import CROPS, HASH_BITS
from pipeline.layers.store import LayerStore
from pipeline.run.columns import unit_tables
from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from pipeline.trust.near_images import TURNS, ImageHashes, NearIndex, as_words, is_flat
from schemas.checked import STRICT, from_json, to_plain
from schemas.errors import ConfigError, DataError

LEAKAGE = "leakage.json"
LEAKAGE_VERSION = 1
LeakKind = Literal["exact", "near", "crop"]


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A pair whose image is, or looks like, one of the other set."""

    record_id: str
    image_uri: str
    kind: LeakKind
    """`crop`: it looks like a part of the other image."""
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
    layer.require_whole()
    found = _Counts()
    indices = [
        (NearIndex(other.hashes, max_distance), NearIndex(other.crops, max_distance))
        for other in others
    ]
    commits = layer.commits()
    for unit_id, source in run.commits().items():
        hashes = layer.read(commits[unit_id])
        place_of = {key: n for n, key in enumerate(hashes.column("record_id").to_pylist())}
        rows = hashes.to_pylist()
        for table in unit_tables(run, source, ("record_id", "image_uri", "image_sha256")):
            pairs = table.select(["record_id", "image_uri", "image_sha256"]).to_pylist()
            own = [rows[place_of[pair["record_id"]]] for pair in pairs]
            for other, looks in zip(others, indices, strict=True):
                found.leaks += _of_set(pairs, own, other, looks)
            readable = [row["dhash"] for row in own if row["dhash"]]
            found.pairs += len(pairs)
            found.unhashed += len(pairs) - len(readable)
            found.flat += int(is_flat(as_words(readable)).sum())
        progress(found.pairs)
    return Leakage(
        annotations_id=run.annotations_id(),
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
    indices: tuple[NearIndex, NearIndex],
) -> Iterator[Leak]:
    """Leaks of some pairs; a copy of the whole image comes before a crop of one."""
    blank = "0" * (HASH_BITS // 4)  # flat: never near
    hashes = as_words([row["dhash"] or blank for row in rows])
    looks = zip(
        *(np.stack(index.nearest(hashes), axis=1).tolist() for index in indices), strict=True
    )
    for pair, row, ((near, near_far), (crop, crop_far)) in zip(pairs, rows, looks, strict=True):
        exact = other.files.get(pair["image_sha256"])
        if exact is None:
            exact = other.pixels.get(row["pixels_sha256"] or "")
        kind: LeakKind
        if exact is not None:
            kind, place, distance = "exact", exact, 0
        elif near >= 0:
            kind, place, distance = "near", near // TURNS, near_far
        elif crop >= 0:
            kind, place, distance = "crop", crop // CROPS, crop_far
        else:
            continue
        yield Leak(
            record_id=pair["record_id"],
            image_uri=pair["image_uri"],
            kind=kind,
            other=other.names[place],
            against=other.name,
            distance=distance,
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
    if found.annotations_id != run.annotations_id():
        raise ConfigError(f"{run.url(LEAKAGE)} is older than the labels of the run: {again}")
    return found


def leaking(run: RunStore) -> Collection[str]:
    """The record ids that an export leaves out.

    Raises:
        ConfigError: as `read_leakage`.
    """
    return read_leakage(run).record_ids()
