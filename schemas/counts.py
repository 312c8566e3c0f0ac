"""Counts in JSON files: whole numbers that a file may hold, and names with a number each."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field

__all__ = ["Counts", "Name", "Number"]

Number = Annotated[int, Field(ge=0, lt=1 << 63)]


def _writable(text: str) -> str:
    text.encode()  # a lone surrogate, which no page can hold, is a ValueError
    return text


def _not_negative(counts: Counter[str]) -> Counter[str]:
    for name, number in counts.items():
        if not 0 <= number < 1 << 63:
            raise ValueError(f"{name} must be a whole number >= 0, got {number}")
    return counts


Name = Annotated[str, AfterValidator(_writable)]
Counts = Annotated[Counter[Name], AfterValidator(_not_negative)]
"""Names with a number each."""
