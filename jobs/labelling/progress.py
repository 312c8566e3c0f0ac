"""What a labelling run tells while it works: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.progress_bar import LineBar
from schemas.errors import GlipforgeError
from schemas.plan import Unit, UnitCommit
from schemas.records import Status

if TYPE_CHECKING:
    from pipeline.run.commit_unit import CommitOutcome

LINE_EVERY_S = 10.0
RATE_COUNTS_FROM = 1000
"""Rows after which the share of failures is taken seriously."""


class TooManyFailures(GlipforgeError):
    """The share of rows without a usable pair is above the budget."""


@dataclass(kw_only=True)
class LabelProgress:
    """Counts commits and says how far the run is.

    units: what was pending at the start.
    max_failure_rate: of the rows of this start; above it the run is given up.
    require_held: see `pipeline.run.lock`; asked with every turn of a runner.
    """

    units: Sequence[Unit]
    max_failure_rate: float = 1.0
    require_held: Callable[[], None] = lambda: None
    statuses: Counter[str] = field(default_factory=Counter)
    num_units: int = 0
    num_boxes: int = 0
    under_way: int = 0
    """Rows that teachers have answered of units that are not committed."""
    replaced: int = 0
    """Workers that were started again."""
    _is_loading: bool = True
    _began: float = field(default_factory=time.monotonic)
    _said: float = 0.0
    _total_rows: int | None = None
    """Of all units; None where only reading tells."""
    _bar: LineBar | None = None
    """On a terminal, while the run works."""

    def __post_init__(self) -> None:
        if all(unit is not None and unit.num_records >= 0 for unit in self.units):
            self._total_rows = sum(unit.num_records for unit in self.units)

    @property
    def rows(self) -> int:
        """Rows committed since the start."""
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Of them, those in quarantine."""
        return _num_failed(self.statuses)

    def start_clock(self) -> None:
        """The first worker is ready: the rate counts from here."""
        self._began = time.monotonic()
        self._is_loading = False

    def commit(self, outcome: CommitOutcome) -> None:
        """Count a unit.

        Raises:
            TooManyFailures: the budget is used up.
        """
        commit: UnitCommit = outcome.commit
        self.num_units += 1
        self.statuses.update(commit.status_counts)
        self.num_boxes += commit.num_boxes
        found = describe_failures(self.statuses, self.max_failure_rate)
        if self.rows >= RATE_COUNTS_FROM and found:
            raise TooManyFailures(
                f"{found}. What is done is committed; `glipforge status` shows examples. Run again "
                "with a higher --max-failure-rate to go on"
            )
        self.tell()

    def tell(self, *, now: bool = False) -> None:
        """Say how far it is, if it is time to.

        Raises:
            LockLost: another driver labels this run now; not with `now`.
        """
        if not now:
            self.require_held()
        since = time.monotonic() - self._said
        is_terminal = sys.stderr.isatty()
        if not now and since < (0.5 if is_terminal else LINE_EVERY_S):
            return
        self._said = time.monotonic()
        if not is_terminal:
            print(self.line(), file=sys.stderr, flush=True)
            return
        self._bar = self._bar or LineBar()
        self._bar.show(None if self._is_loading else self.share_done(), self.line())
        if now:
            self._bar.end()
            self._bar = None

    def share_done(self) -> float:
        """In [0, 1]: of the rows where all units know theirs, else of the units."""
        if self._total_rows is None:
            return self.num_units / max(1, len(self.units))
        return min(1.0, (self.rows + self.under_way) / max(1, self._total_rows))

    def line(self) -> str:
        """Units, rows, rate, time left, reasons of failures."""
        seconds = max(1e-6, time.monotonic() - self._began)
        if self._is_loading:
            return f"loading the teacher, {seconds:.0f} s"
        parts = [f"units {self.num_units:,}/{len(self.units):,}", f"rows {self.rows:,}"]
        if self.under_way:
            parts.append(f"under way {self.under_way:,}")
        parts.append(f"boxes {self.num_boxes:,}")
        if share := self.share_done():
            left = seconds / share * (1 - share)
            rate = (self.rows + self.under_way) / seconds
            parts += [f"{rate:.1f} images/s", f"left {_duration(left)}"]
        if self.replaced:
            parts.append(f"workers replaced {self.replaced}")
        if self.failed:
            parts.append(self.reasons())
        return "  ".join(parts)

    def reasons(self) -> str:
        """Failures by status, the most frequent first."""
        return _reasons(self.statuses)


def describe_failures(statuses: Mapping[str, int], max_rate: float) -> str:
    """The share of rows in quarantine and why, where it is above `max_rate`; else nothing."""
    rows, failed = sum(statuses.values()), _num_failed(statuses)
    share = failed / max(1, rows)
    if share <= max_rate:
        return ""
    return (
        f"{failed:,} of {rows:,} rows ({share:.1%}) could not be labelled, more than "
        f"--max-failure-rate {max_rate:.1%}: {_reasons(statuses)}"
    )


def _num_failed(statuses: Mapping[str, int]) -> int:
    return sum(n for name, n in statuses.items() if Status(name).is_quarantined)


def _reasons(statuses: Mapping[str, int]) -> str:
    bad = [(n, name) for name, n in statuses.items() if Status(name).is_quarantined]
    return ", ".join(f"{name} {n:,}" for n, name in sorted(bad, reverse=True))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
