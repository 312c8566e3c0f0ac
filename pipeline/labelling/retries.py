"""Batches that failed as a whole: counted by stage, said once a unit, never passed over."""

from __future__ import annotations

import logging

from schemas.plan import BatchFailure

_log = logging.getLogger(__name__)


class Retries:
    """Counts batches of a unit that are asked again, one pair at a time."""

    def __init__(self) -> None:
        self._batches: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def count(self, stage: str, num_pairs: int, error: Exception) -> None:
        """A batch failed; the first of a unit and stage is also a line in the log.

        A batch of one pair is not counted: it is asked alone already.
        """
        if num_pairs < 2:
            return
        what = f"{type(error).__name__}: {error}"
        if stage not in self._first:
            self._first[stage] = what
            _log.warning(
                "%s: a batch of %d pairs failed (%s); each pair is asked alone, which is slow",
                stage,
                num_pairs,
                what,
            )
        self._batches[stage] = self._batches.get(stage, 0) + 1

    def found(self) -> tuple[BatchFailure, ...]:
        """What the marker of the unit says of them."""
        return tuple(
            BatchFailure(stage=stage, batches=number, first=self._first[stage])
            for stage, number in self._batches.items()
        )
