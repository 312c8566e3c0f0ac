"""The options by which another review command finds the dataset that this one worked on."""

from __future__ import annotations

import shlex
from pathlib import Path


def same_place(dataset: str | None, home: Path | None) -> str:
    """` --dataset NAME --home DIR` as a shell takes them, each only where it was given."""
    words = [*(("--dataset", dataset) if dataset else ()), *(("--home", str(home)) if home else ())]
    return "".join(f" {shlex.quote(word)}" for word in words)
