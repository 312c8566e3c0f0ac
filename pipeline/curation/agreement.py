"""Where two reviewers judged the same boxes: how far they agree, and what is in conflict. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from pipeline.curation.decisions import in_order
from schemas.boxes import pairwise_iou
from schemas.errors import ConfigError
from schemas.fingerprint import fingerprint
from schemas.records import Decision, Verdict, Xyxy

RULE = "rule:"
"""Begins the reviewer's name of a decision that a rule made."""
Key = tuple[str, str]
"""record_id and box_id."""


class SettleRule(StrEnum):
    """How a conflict is settled without another look."""

    LATEST = "latest"  # as it stands
    MAJORITY = "majority"  # the word of more than half of its reviewers
    STRICT = "strict"  # a box that anybody rejects goes


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """Two reviewers on the boxes that both judged."""

    first: str
    second: str
    boxes: int
    same: int
    """Boxes with the same word: accepted, rejected, or changed."""
    kappa: float
    """Cohen (1960): agreement beyond that of chance; NaN where chance alone agrees fully."""
    edits: int
    """Boxes that both moved."""
    edit_iou: float
    """Mean IoU of the two places; NaN where both moved none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxConflict:
    """One box with different words of its reviewers, none settled yet."""

    record_id: str
    box_id: str
    words: tuple[Decision, ...]
    """The last word of each reviewer, oldest first: the last one stands."""


def last_words(decisions: Iterable[Decision]) -> dict[Key, dict[str, Decision]]:
    """(record_id, box_id) -> reviewer -> the last word; without carried ones and words on pairs."""
    words: dict[Key, dict[str, Decision]] = {}
    for decision in in_order(decisions):
        if not decision.box_id or decision.carried_from:
            continue
        of_box = words.setdefault((decision.record_id, decision.box_id), {})
        of_box.pop(decision.reviewer, None)
        if decision.verdict != Verdict.OPEN:
            of_box[decision.reviewer] = decision
    return words


def word_of(decision: Decision) -> str:
    """What is compared: accepted, rejected or changed. Adding a box is accepting it."""
    if decision.verdict == Verdict.DROP:
        return "rejected"
    return "changed" if decision.verdict == Verdict.EDIT else "accepted"


def agreements(decisions: Iterable[Decision]) -> list[PairAgreement]:
    """Every two reviewers who judged a box both, those with the most boxes first."""
    shared: dict[tuple[str, str], list[tuple[Decision, Decision]]] = {}
    for of_box in last_words(decisions).values():
        people = sorted(name for name in of_box if not name.startswith(RULE))
        for first, second in combinations(people, 2):
            shared.setdefault((first, second), []).append((of_box[first], of_box[second]))
    found = [_agreement(a, b, both) for (a, b), both in shared.items()]
    return sorted(found, key=lambda one: (-one.boxes, one.first, one.second))


def _agreement(first: str, second: str, both: Sequence[tuple[Decision, Decision]]) -> PairAgreement:
    words = [(word_of(a), word_of(b)) for a, b in both]
    places = [(a.xyxy, b.xyxy) for a, b in both if a.xyxy is not None and b.xyxy is not None]
    ious = [_iou(a, b) for a, b in places]
    return PairAgreement(
        first=first,
        second=second,
        boxes=len(words),
        same=sum(a == b for a, b in words),
        kappa=cohen_kappa(words),
        edits=len(ious),
        edit_iou=sum(ious) / len(ious) if ious else math.nan,
    )


def _iou(a: Xyxy, b: Xyxy) -> float:
    return float(pairwise_iou([a], [b])[0, 0])


def cohen_kappa(words: Sequence[tuple[str, str]]) -> float:
    """Cohen's kappa (1960): (p_o - p_e) / (1 - p_e).

    Args:
        words: for each item the words of the two raters.

    Returns:
        In [-1, 1]; NaN for no item, and where both raters use one and the same word throughout.
    """
    total = len(words)
    if not total:
        return math.nan
    observed = sum(a == b for a, b in words) / total
    left, right = Counter(a for a, _ in words), Counter(b for _, b in words)
    expected = sum(left[word] * right[word] for word in left) / total**2
    return math.nan if expected == 1.0 else (observed - expected) / (1.0 - expected)


def conflicts(decisions: Sequence[Decision]) -> list[BoxConflict]:
    """Boxes whose reviewers differ and that neither a rule nor a third person settled.

    A third person settles a conflict by judging the box after both; two who differ over the same
    two words stay in conflict however often they repeat them.
    """
    found = []
    for (record_id, box_id), of_box in last_words(decisions).items():
        words = in_order(of_box.values())
        if len({_content(decision) for decision in words}) < 2:
            continue
        last = words[-1]
        earlier = words[:-1]
        third = len({_content(d) for d in earlier}) > 1
        if last.reviewer.startswith(RULE) or third:
            continue
        found.append(BoxConflict(record_id=record_id, box_id=box_id, words=tuple(words)))
    return found


def _content(decision: Decision) -> tuple[str, Xyxy | None, int | None]:
    if word_of(decision) == "rejected":
        return ("rejected", None, None)
    return (word_of(decision), decision.xyxy, decision.phrase_index)


def settle(
    found: Iterable[BoxConflict], rule: str, *, decided_at: str
) -> tuple[list[Decision], list[BoxConflict]]:
    """Decisions that settle conflicts, and the conflicts that the rule leaves open.

    Args:
        found: from `conflicts`.
        rule: a `SettleRule`, or the name of the reviewer whose word counts.
        decided_at: the time of the new decisions, later than all of theirs.
    """
    made: list[Decision] = []
    left: list[BoxConflict] = []
    for conflict in found:
        winner = _winner(conflict.words, rule)
        if winner is None:
            left.append(conflict)
            continue
        standing = conflict.words[-1]
        decision = replace(
            winner,
            decision_id="",
            reviewer=f"{RULE}{rule}",
            decided_at=decided_at,
            reason=f"settled {len(conflict.words)} words, as {winner.reviewer} said",
            before_review="",
            before_xyxy=standing.xyxy,
            before_phrase_index=standing.phrase_index,
        )
        identity: Mapping[str, object] = {
            "of": [word.decision_id for word in conflict.words],
            "winner": winner.decision_id,
            "rule": rule,
        }
        made.append(replace(decision, decision_id=fingerprint(identity)))
    return made, left


def _winner(words: Sequence[Decision], rule: str) -> Decision | None:
    if rule == SettleRule.LATEST:
        return words[-1]
    if rule == SettleRule.STRICT:
        rejecting = [word for word in words if word_of(word) == "rejected"]
        return rejecting[-1] if rejecting else None
    if rule == SettleRule.MAJORITY:
        counts = Counter(_content(word) for word in words)
        content, count = counts.most_common(1)[0]
        if 2 * count <= len(words):
            return None
        return next(word for word in reversed(words) if _content(word) == content)
    return next((word for word in words if word.reviewer == rule), None)


def check_rule(rule: str, decisions: Iterable[Decision]) -> None:
    """Refuse a rule that is neither one of ours nor a reviewer of the run.

    Raises:
        ConfigError: with what is allowed.
    """
    people = sorted({d.reviewer for d in decisions if not d.reviewer.startswith(RULE)})
    if rule not in [*SettleRule, *people]:
        raise ConfigError(
            f"settle must be one of {', '.join(SettleRule)}, or a reviewer of this run "
            f"({', '.join(people) or 'none yet'}), got {rule!r}"
        )
