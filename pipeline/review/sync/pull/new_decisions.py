"""From changes to decision rows: who, when, before and after. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pipeline.curation.box_state import box_histories, pair_history
from pipeline.review.sync.label.stamp import Stamp, timestamp
from pipeline.review.sync.pull.changes import Change
from schemas.fingerprint import fingerprint
from schemas.records import Annotation, Decision, Verdict


def new_decisions(
    row: Annotation, changes: Iterable[Change], past: Sequence[Decision], *, nobody: Stamp
) -> Iterator[Decision]:
    """The decisions that some changes of one pair are, without those that the run has already.

    Args:
        row: the pair.
        changes: in the order in which they were made.
        past: the decisions of this pair so far.
        nobody: who and when, where a change does not say it.
    """
    known = list(past)
    for change in changes:
        who = change.stamp or nobody
        latest = max((d.decided_at for d in known if d.box_id == change.box_id), default="")
        # Another machine's clock runs ahead: what was said after it must still win. A stamped word
        # is later than the one that its author saw; one without a stamp is later than all.
        floor = change.after if change.stamp else latest
        decided_at = max(who.at, _next(floor)) if floor >= who.at else who.at
        decision = Decision(
            decision_id="",
            record_id=row.record_id,
            box_id=change.box_id,
            verdict=change.verdict,
            xyxy=change.xyxy,
            phrase_index=change.phrase_index,
            reviewer=who.reviewer,
            decided_at=decided_at,
            reason=change.reason,
            span=change.span,
        )
        if any(_says(decision) == _says(other) for other in known):
            continue  # appended by a pull that ended before it could mark
        decision = replace(decision, **_before(row, decision, known))
        content = _content(decision)
        decision = replace(decision, decision_id=fingerprint(content))
        known.append(decision)
        yield decision


def _next(moment: str) -> str:
    return timestamp(datetime.fromisoformat(moment) + timedelta(microseconds=1))


def _says(decision: Decision) -> tuple[Any, ...]:
    return (
        *(decision.box_id, decision.verdict, decision.xyxy, decision.phrase_index),
        *(decision.reviewer, decision.decided_at, decision.reason, decision.span),
    )


def _before(row: Annotation, decision: Decision, known: Sequence[Decision]) -> dict[str, Any]:
    """What stood when the decision was made."""
    if decision.verdict == Verdict.PHRASE:
        return {}
    earlier = [
        d for d in known if d.box_id == decision.box_id and d.decided_at < decision.decided_at
    ]
    if not decision.box_id:
        return {"before_review": str(pair_history(earlier).current().review)}
    of_teacher = any(box.box_id == decision.box_id for box in row.boxes)
    if not of_teacher and all(d.verdict != Verdict.ADD for d in earlier):
        return {}  # drawn just now
    marked = [d for d in known if d.verdict == Verdict.PHRASE]
    before = box_histories(row, [*earlier, *marked])[decision.box_id].current()
    return {
        "before_review": str(before.review),
        "before_xyxy": before.xyxy,
        "before_phrase_index": before.phrase_index,
    }


def _content(decision: Decision) -> dict[str, Any]:
    return {
        name: str(value) if name == "verdict" else value
        for name in Decision.__dataclass_fields__
        if name != "decision_id"
        for value in (getattr(decision, name),)
    }
