"""Sums over the markers of a run: the one place that knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field, with_config

from schemas.checked import STRICT
from schemas.counts import Counts, Number
from schemas.plan import BatchFailure, UnitCommit


@with_config(STRICT)
@dataclass(kw_only=True)
class RunTotals:
    """What the committed units of a run hold together."""

    units: Number = 0
    rows: Number = 0
    boxes: Number = 0
    statuses: Counts = field(default_factory=Counter)
    """Status -> rows."""
    seconds: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = field(default_factory=dict)
    """Stage -> seconds, over all workers."""
    examples: dict[str, str] = field(default_factory=dict)
    """For each quarantine status the first unit's `<record_id>: <detail>`."""
    batch_failures: dict[str, BatchFailure] = field(default_factory=dict)
    """Stage -> batches that failed as a whole, with the first unit's exception."""

    def counts(self) -> dict[str, object]:
        """What `_SUCCESS` says."""
        return {
            "units": self.units,
            "rows": self.rows,
            "boxes": self.boxes,
            "statuses": dict(sorted(self.statuses.items())),
        }

    @classmethod
    def of(cls, commits: Iterable[UnitCommit]) -> RunTotals:
        """Add up markers."""
        total = cls()
        for commit in commits:
            total.add(commit)
        return total

    def add(self, commit: UnitCommit) -> None:
        """Count one more unit."""
        self.units += 1
        self.rows += commit.rows_out
        self.boxes += commit.num_boxes
        self.statuses.update(commit.status_counts)
        for stage, seconds in commit.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.examples = {**commit.examples, **self.examples}
        for failure in commit.batch_failures:
            before = self.batch_failures.get(failure.stage)
            self.batch_failures[failure.stage] = (
                failure
                if before is None
                else replace(before, batches=before.batches + failure.batches)
            )
