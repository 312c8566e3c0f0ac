"""What is done to a corpus, and which pairs it may cost."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.pipeline.corpus.fuzz_corpora import Built, FuzzPair, write_json
from tests.poison import CAPTIONS, IMAGES

_IMAGES = [data for data, _ in IMAGES.values()]
_CAPTIONS = [text for text, _ in CAPTIONS.values()]
_VALUES: list[Any] = [
    *(7, -1, 10**400, 0.5, True, None, {}, {"a": [1]}, [], [[]], [None], ["a dog", 3, "a cat"]),
    *(["a dog"] * 4, "\ud800", "a\udcff", "\ufeff", "NaN", "x" * 9000),
]
_KEYS = [
    *("../x", "/etc/x", "a/../../x", ".hidden", "a/.hidden", "__x", "a/b/c", "a.b", "", " ", "."),
    *("x" * 300, "y" * 3000, "caf\xe9", "\U0001f436", "a\nb", "C:\\x", "a#b", "%2e%2e", "-", "0"),
]
_BYTES = [
    b"\0",
    b"\xff",
    b"\n",
    b'"',
    b"{",
    b"}",
    b"[",
    b",",
    b"\\",
    b"\r\n",
    bytes(512),
    b"9" * 64,
]


JSON_ENDINGS = (".json", ".jsonl")


def _table(columns: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


_TABLES = [
    _table({"image": [1], "caption": ["a dog"]}),
    _table({"image": [b"x"], "caption": [{"raw": "a dog"}]}),
    _table({"image": ["nowhere.png"], "caption": [["a dog", None]]}),
    _table({"image": [None, None], "caption": [None, None]}),
    _table({"image": [[b"x"]], "caption": [b"\xff"]}),
    _table({"image": pa.array([], pa.binary()), "caption": pa.array([], pa.string())}),
    _table({"x": [1]}),
    _table({}),
]
_NO_FILES = [b"", b"\0", bytes(512), bytes(10240), b"PAR1", b"PAR1PAR1", b"PK\x03\x04", b"{}\n"]
ALIENS: dict[str, tuple[str, list[bytes]]] = {
    "webdataset": (".tar", _NO_FILES + _TABLES),
    "webdataset-gz": (".tar.gz", _NO_FILES),
    "img2dataset": (".tar", _NO_FILES),
    "parquet": (".parquet", _NO_FILES + _TABLES),
    "image-files": (".jpg", _NO_FILES),
}
"""Format -> ending of a file beside the good ones, and what it may hold."""


@dataclass(frozen=True)
class Damage:
    """What was done.

    touched: Numbers of pairs whose rows may differ; all others must be as if nothing had happened.
    is_silent: The format has no means to show that something is gone.
    num_rows: Rows that there must be; None where that cannot be said.
    """

    what: str
    touched: frozenset[int]
    is_silent: bool = False
    num_rows: int | None = None


def mutate_pairs(
    pairs: Sequence[FuzzPair], rng: random.Random, *, can_hold_values: bool
) -> tuple[list[FuzzPair], Damage]:
    """One to three pairs made bad before the corpus is written."""
    changed = list(pairs)
    touched: set[int] = set()
    said = []
    for _ in range(rng.randint(1, 3)):
        number = rng.randrange(len(pairs))
        kind = rng.choice(("image", "no image", "caption", "value", "key", "again"))
        if kind == "image":
            changed[number] = replace(changed[number], image=rng.choice(_IMAGES))
        elif kind == "no image":
            changed[number] = replace(changed[number], image=None)
        elif kind == "caption":
            changed[number] = replace(changed[number], caption=rng.choice(_CAPTIONS))
        elif kind == "value" and can_hold_values:
            changed[number] = replace(changed[number], caption=rng.choice(_VALUES))
        elif kind == "key":
            key = rng.choice(_KEYS)
            changed[number] = replace(changed[number], key=key)
            touched.update(n for n, pair in enumerate(pairs) if pair.key == key)
        elif kind == "again":
            touched.add(len(changed))
            changed.append(pairs[number])  # its first appearance must not suffer
            said.append(f"again {number}")
            continue
        touched.add(number)
        said.append(f"{kind} of {number}")
    return changed, Damage(", ".join(said), frozenset(touched))


def mutate_bytes(built: Built, num_pairs: int, rng: random.Random) -> Damage:
    """One file of a written corpus is damaged, in place."""
    path = rng.choice(sorted(path for path, data in built.files.items() if data))
    data = built.files[path]
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice((1, 1, 2, 8, 64, 700)))
    kind = rng.choice(("flip", "flip", "overwrite", "cut", "delete", "insert", "repeat", "zero"))
    in_place = kind in ("flip", "overwrite", "zero")
    if kind == "flip":
        stop = start + 1
        piece = bytes([data[start] ^ 1 << rng.randrange(8)])
    elif kind == "overwrite":
        piece = rng.randbytes(stop - start)
    elif kind == "zero":
        piece = bytes(stop - start)
    elif kind == "insert":
        piece, stop = rng.choice(_BYTES), start
    elif kind == "repeat":
        piece = data[start:stop] * 2
    else:
        piece = b""
        stop = len(data) if kind == "cut" else stop
    built.files[path] = data[:start] + piece + data[stop:]
    touched: set[int] = set()
    for extent in built.extents:
        if extent.path != path:
            continue
        # A line also suffers from what joins it with its neighbour.
        if not (extent.start <= max(stop, start + 1) and start <= extent.stop):
            continue
        if extent.number < 0:
            touched.update(range(num_pairs + 1))
        elif extent.is_link or (not in_place and path.endswith((".tar", ".parquet"))):
            touched.update(range(extent.number, num_pairs + 1))
        else:
            touched.add(extent.number)
    is_silent = path.endswith(("jsonl", ".txt", ".png")) or kind == "repeat"
    return Damage(f"{kind} {path} [{start}:{stop}]", frozenset(touched), is_silent)


def mutate_json(built: Built, num_pairs: int, rng: random.Random) -> Damage:
    """One value somewhere in a file of JSON becomes another, or goes."""
    path = rng.choice(sorted(path for path in built.files if path.endswith(JSON_ENDINGS)))
    lines = built.files[path].splitlines()
    number = rng.randrange(len(lines))
    root: dict[str, Any] = {"": json.loads(lines[number])}
    holder, place = root, ""
    while isinstance(holder[place], dict | list) and holder[place] and rng.random() < 0.8:
        holder = holder[place]
        place = rng.choice(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
    if rng.random() < 0.2 and holder is not root:
        del holder[place]
        said = "gone"
    else:
        holder[place] = rng.choice(_VALUES)
        said = f"{holder[place]!r:.40}"
    lines[number] = write_json(root[""])
    built.files[path] = b"\n".join(lines) + b"\n"
    touched = range(num_pairs + 1) if path.endswith(".json") else (number,)
    return Damage(f"{path} line {number}, {place}: {said}", frozenset(touched), is_silent=True)


def add_alien(built: Built, name: str, rng: random.Random) -> Damage:
    """A second file that has the format's ending, and holds something else."""
    ending, contents = ALIENS[name]
    built.files[f"toy/z-alien{ending}"] = rng.choice(contents)
    return Damage(f"alien{ending}", frozenset(), is_silent=True)


def remove_file(built: Built, num_pairs: int, rng: random.Random) -> Damage:
    """One file is gone."""
    path = rng.choice(sorted(built.files))
    del built.files[path]
    numbers = {extent.number for extent in built.extents if extent.path == path}
    if -1 in numbers:
        numbers = set(range(num_pairs + 1))
    return Damage(f"gone {path}", frozenset(numbers), is_silent=True)
