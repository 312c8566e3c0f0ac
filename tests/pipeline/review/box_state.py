"""What a model of two reviewers holds true of a box."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.records import Verdict


@dataclass(frozen=True, kw_only=True)
class BoxState:
    """What is true of a box after one click; states are told apart by identity."""

    words: dict[str, Verdict]
    """Reviewer -> the last word."""
    last: tuple[str, Verdict] | None = None
    place: tuple[float, ...] | None = None
    """Where somebody moved it."""
    is_gone: bool = False


UNTOUCHED = BoxState(words={})
