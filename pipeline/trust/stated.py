"""The precision of a run's labels as other files state it: cards of data sets and of models."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.curation.calibration import read_calibration
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedPrecision:
    """How precise the labels of a policy are, and how that is known."""

    precision: float
    """Estimate over all labels of the policy."""
    low: float
    high: float
    """Interval of that estimate, at `confidence`."""
    promised: float | None
    """What is promised of these labels; None where nothing is."""
    confidence: float
    judged: int
    labels: int
    """Labels that it is about."""
    source: str
    method: str

    def sentence(self) -> str:
        """In words."""
        text = (
            f"Precision {self.precision:.3f} ({self.low:.3f} to {self.high:.3f} at confidence "
            f"{self.confidence:g}), from {self.judged:,} judged of {self.labels:,} labels "
            f"({self.source}, {self.method})"
        )
        if self.promised is not None and self.method == "gold":
            text += f"; at least {self.promised:g} of those that gold judges are right"
        elif self.promised is not None:
            text += f"; at least {self.promised:g} is promised with that confidence"
        return text + "."


def stated_precision(run: RunStore, policy: FilterPolicy) -> StatedPrecision | None:
    """What a calibration of this run says about the labels of a policy; None without one.

    With `min_precision` it is about the labels above the score that this comes to.

    Raises:
        ConfigError: the calibration is of other annotations or rules.
        DataError: the file is not a calibration.
    """
    found = read_calibration(run, policy)
    if found is None:
        return None
    promise = None if policy.min_precision is None else found.promise(policy.min_precision)
    point = found.curve[-1]
    if policy.min_precision is not None:
        if promise is None or promise.threshold is None:
            return None
        (point,) = (one for one in found.curve if one.threshold == promise.threshold)
    if point.precision is None:
        return None
    whole = [one.precision for one in found.promises if one.threshold == found.curve[-1].threshold]
    return StatedPrecision(
        precision=point.precision,
        low=point.low,
        high=point.high,
        promised=promise.precision if promise else max(whole, default=None),
        confidence=found.confidence,
        judged=point.drawn,
        labels=point.labels,
        source=found.source,
        method=found.method,
    )
