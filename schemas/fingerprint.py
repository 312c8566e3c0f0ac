"""Fingerprints: short hashes of what was done, and the sentence that says where two differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import FingerprintMismatch

HASH_CHARS = 16


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: the value holds NaN or infinity.
        TypeError: the value holds something JSON cannot say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: object) -> str:
    """The first 16 hex characters of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:HASH_CHARS]


def sha256_bytes(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes in hex, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_same(
    found: Mapping[str, object], wanted: Mapping[str, object], *, where: str, remedy: str
) -> None:
    """Refuse to go on where two configurations differ, naming every differing field.

    Raises:
        FingerprintMismatch: with both values of each field that differs.
    """
    differences = [
        f"{key} was {found.get(key)!r}, this run has {wanted.get(key)!r}"
        for key in sorted(set(found) | set(wanted))
        if found.get(key) != wanted.get(key)
    ]
    if differences:
        raise FingerprintMismatch(
            f"{where} was made with another configuration: {'; '.join(differences)}. {remedy}"
        )
