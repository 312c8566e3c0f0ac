"""Names of records and units: from the input alone, never from workers or listing order."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from schemas.records import CorpusRecord, Status

MAX_KEY_CHARS = 512
_MAX_SLUG_CHARS = 80
_ENDINGS = re.compile(r"\.(?:tar|tar\.gz|tgz|parquet|jsonl|ndjson|jsonl\.gz|ndjson\.gz|json)$")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def shard_name(relative: str) -> str:
    """A file's path below the corpus root, without its ending: `train/00042`."""
    return _ENDINGS.sub("", relative)


@dataclass(frozen=True, slots=True)
class SharedNames:
    """Names of files below which records of another file may be too.

    shared: several files have this name, as `a.tar` and `a.tgz` have `a`.
    nested: the name of a file below that of another, as `a/b` of `a/b.tar` beside `a.tar`.
    """

    shared: frozenset[str]
    nested: frozenset[str]

    @classmethod
    def among(cls, names: Iterable[str]) -> SharedNames:
        """Those among the names of all files."""
        counts = Counter(names)
        return cls(
            shared=frozenset(name for name, count in counts.items() if count > 1),
            nested=frozenset(
                name for name in counts if any(above in counts for above in _folders_above(name))
            ),
        )

    def reach(self, name: str, key: str) -> bool:
        """True where another file may have the record `name/key` too."""
        if name in self.shared:
            return True
        if not self.nested:
            return False
        path = f"{name}/{key}" if name else key
        # The captions of a list are below the path itself.
        return any(
            len(above) > len(name) and above in self.nested
            for above in (path, *_folders_above(path))
        )


def record_id(source: str, shard: str, key: str) -> str:
    """`source/shard/key`. Text that no file can hold is escaped; a very long key is hashed."""
    key = key.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if len(key) > MAX_KEY_CHARS:
        key = f"{key[:64]}~{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    return "/".join(part for part in (source, shard, key) if part)


def unit_id(relative: str, start: int) -> str:
    """A file name for a unit: readable, unique by a hash of the path, in file order."""
    slug = _NOT_PLAIN.sub("_", shard_name(relative))[-_MAX_SLUG_CHARS:].lstrip(".-_") or "unit"
    path = relative.encode("utf-8", "backslashreplace")
    return f"{slug}-{hashlib.sha256(path).hexdigest()[:8]}-{start:012d}"


def with_unique_ids(records: Iterable[CorpusRecord]) -> Iterator[CorpusRecord]:
    """The same records; a repeated id becomes `id~2`, `id~3`, ... with the status DUPLICATE_ID."""
    seen: set[str] = set()
    numbers: dict[str, int] = {}
    for record in records:
        if record.record_id not in seen:
            seen.add(record.record_id)
            yield record
            del record  # it may hold an image, which must go before the next one is read
            continue
        number = numbers.get(record.record_id, 2)  # those below it are taken
        while (fresh := f"{record.record_id}~{number}") in seen:
            number += 1
        seen.add(fresh)
        numbers[record.record_id] = number + 1
        error = record.error or (
            Status.DUPLICATE_ID,
            f"the id {record.record_id!r} belongs to an earlier record; if both are meant, choose "
            "another id field, or give the captions of one image as a list",
        )
        yield replace(record, record_id=fresh, error=error, image_bytes=None)


def _folders_above(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
