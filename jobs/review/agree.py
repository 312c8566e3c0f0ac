"""`glipforge review agree`: how far reviewers agree, and what to do where they do not."""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import Run
from schemas.redaction import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.curation.agreement import BoxConflict, PairAgreement
    from schemas.records import Decision


@dataclass(frozen=True, kw_only=True)
class Agree:
    """Compare reviewers on the boxes that several judged; list and settle their conflicts."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    settle: str | None = None
    """Settle conflicts: latest, majority, strict (a box that anybody rejects goes), or the name of
    the reviewer whose word counts. Without it they are listed; a third reviewer's word in the app
    settles one too."""
    show: int = 20
    """List at most so many conflicts."""
    json: bool = False
    """Print JSON."""


def agree_run(config: Agree) -> int:
    """Print agreement and conflicts, settle them if asked; returns 0.

    Raises:
        ConfigError: the rule is not known.
    """
    from pipeline.curation.agreement import agreements, check_rule, conflicts, settle
    from pipeline.curation.decisions import append_decisions, load_decisions
    from pipeline.run.open import open_run

    run = open_run(config.run)
    decisions = load_decisions(run)
    found = conflicts(decisions)
    settled: list[Decision] = []
    if config.settle is not None:
        check_rule(config.settle, decisions)
        settled, found = settle(found, config.settle, decided_at=_now_after(decisions))
        append_decisions(run, settled)
    people = agreements(decisions)
    if config.json:
        print(json_module.dumps(_as_json(people, found, len(settled))))
        return 0
    _print(config, people, found)
    if config.settle is not None:
        print(f"{len(settled):,} conflicts settled by {config.settle}; push shows the result")
    return 0


def _now_after(decisions: Sequence[Decision]) -> str:
    """The clock, or just after the last decision where that clock runs ahead."""
    from datetime import datetime, timedelta

    from pipeline.review.sync.label.stamp import now, timestamp

    last = max((decision.decided_at for decision in decisions), default="")
    moment = now()
    if last < moment:
        return moment
    return timestamp(datetime.fromisoformat(last) + timedelta(microseconds=1))


def _print(config: Agree, people: list[PairAgreement], found: list[BoxConflict]) -> None:
    if not people:
        print("no box was judged by two reviewers yet; `review assign --overlap` gives them some")
    for one in people:
        kappa = f"{one.kappa:.3f}" if one.kappa == one.kappa else "not defined (one word only)"
        edits = f"; {one.edits:,} moved by both, mean IoU {one.edit_iou:.3f}" if one.edits else ""
        print(
            f"{one.first} and {one.second}: {one.same:,} of {one.boxes:,} boxes the same, "
            f"Cohen's kappa {kappa}{edits}"
        )
    for conflict in found[: config.show]:
        words = ", ".join(f"{word.reviewer} {word.verdict}" for word in conflict.words)
        print(shown(f"conflict: {conflict.box_id}: {words}"))
    if len(found) > config.show:
        print(f"...and {len(found) - config.show:,} more")
    print(f"{len(found):,} conflicts open; the latest word stands meanwhile")


def _as_json(
    people: list[PairAgreement], found: list[BoxConflict], settled: int
) -> dict[str, object]:
    def number(value: float) -> float | None:
        return value if value == value else None

    return {
        "agreement": [
            {
                "reviewers": [one.first, one.second],
                "boxes": one.boxes,
                "same": one.same,
                "kappa": number(one.kappa),
                "edits": one.edits,
                "edit_iou": number(one.edit_iou),
            }
            for one in people
        ],
        "conflicts": [
            {
                "record_id": conflict.record_id,
                "box_id": conflict.box_id,
                "words": [[word.reviewer, str(word.verdict)] for word in conflict.words],
            }
            for conflict in found
        ],
        "settled": settled,
    }
