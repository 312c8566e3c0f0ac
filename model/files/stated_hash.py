"""The hash that a hub states for a file, and whether the bytes that arrived have it.

The hub's client compares lengths alone when it fetches over HTTP.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.fingerprint import sha256_file

_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedHash:
    """The hash of one file.

    digits: 64 hex digits are the SHA-256 of a file that the hub keeps as a large one. 40 are the
        SHA-1 of any other: git's, of a head and the bytes, or of the bytes alone, which some hubs
        of one's own have in its place.
    """

    digits: str

    @classmethod
    def of(cls, entry: Any, path: Path) -> StatedHash | None:
        """Of a file as the hub lists it, else as the cache names it, which is the server's ETag.

        Args:
            entry: `huggingface_hub.hf_api.RepoSibling`.
            path: The file in the hub's cache.

        Returns:
            None where neither is a hash: there is nothing to compare.
        """
        listed = entry.blob_id if entry.lfs is None else entry.lfs.sha256
        for digits in (listed or "", path.resolve().name):
            if _HEX.fullmatch(digits):
                return cls(digits=digits)
        return None

    @property
    def kind(self) -> str:
        """`sha256` or `sha1`."""
        return "sha256" if len(self.digits) == 64 else "sha1"

    def found(self, path: Path) -> str:
        """The hash of a file's bytes; `digits` where they are the right ones."""
        if self.kind == "sha256":
            return sha256_file(path)
        data = path.read_bytes()  # small files: what is large has a SHA-256
        head = f"blob {len(data)}\0".encode()
        by_git, plain = (hashlib.sha1(text).hexdigest() for text in (head + data, data))
        return plain if plain == self.digits else by_git
