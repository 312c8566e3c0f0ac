"""Who gave a verdict and when, as the App writes it beside the verdict. Pure.

The App's process knows its reviewer by `$GLIPFORGE_REVIEWER`; every write in it sets these fields.
What has no stamp was written by something else, and `pull` names whoever pulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

REVIEWER, REVIEWED_AT = "reviewer", "reviewed_at"
"""Attributes of a label."""
PAIR_REVIEW, PAIR_REASON = "pair_review", "pair_reason"
PAIR_REVIEWER, PAIR_REVIEWED_AT = "pair_reviewer", "pair_reviewed_at"
PAIR_DECISION_ID = "pair_decision_id"
"""Fields of a sample: the verdict about the whole pair."""
PAIR_FIELDS = (PAIR_REVIEW, PAIR_REASON, PAIR_REVIEWER, PAIR_REVIEWED_AT, PAIR_DECISION_ID)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A reviewer and a time."""

    reviewer: str
    at: str
    """UTC, ISO 8601 with microseconds: as text, later is greater."""


def timestamp(moment: datetime) -> str:
    """UTC, ISO 8601 with microseconds: as text, later is greater. A time without zone is UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now() -> str:
    """The clock, as `timestamp` writes it."""
    return timestamp(datetime.now(UTC))


def label_stamp(label: Mapping[str, Any]) -> Stamp | None:
    """The stamp of a label; None where there is none that can be used."""
    return _stamp(label.get(REVIEWER), label.get(REVIEWED_AT))


def pair_stamp(document: Mapping[str, Any]) -> Stamp | None:
    """The stamp of a sample's own verdict; None where there is none that can be used."""
    return _stamp(document.get(PAIR_REVIEWER), document.get(PAIR_REVIEWED_AT))


def _stamp(reviewer: object, at: object) -> Stamp | None:
    if not isinstance(reviewer, str) or not reviewer.strip():
        return None
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return None
    return Stamp(reviewer, timestamp(at)) if isinstance(at, datetime) else None
