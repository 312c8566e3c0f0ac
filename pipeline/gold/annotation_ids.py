"""Ids of the annotations of one file, each of which should occur once."""

from __future__ import annotations

from typing import Any

from pipeline.gold.checks import REPEATED_ANNOTATION, entry_id
from pipeline.gold.gold_set import GoldCounts


class AnnotationIds:
    """The ids that occurred."""

    def __init__(self, counts: GoldCounts) -> None:
        self._counts = counts
        self._known: set[int | str] = set()

    def add(self, entry: Any, where: str) -> None:
        """Take the id of one more annotation; one that occurred before is counted.

        Raises:
            DataError: it is neither a whole number nor text.
        """
        found = entry_id(entry, "id", where)
        if found in self._known:
            self._counts.clip(REPEATED_ANNOTATION, where=where)
        self._known.add(found)
