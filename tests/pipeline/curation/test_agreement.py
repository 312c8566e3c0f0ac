"""Agreement of reviewers and conflicts between them."""

from __future__ import annotations

import math

import pytest

from pipeline.curation.agreement import (
    RULE,
    agreements,
    check_rule,
    cohen_kappa,
    conflicts,
    settle,
)
from pipeline.curation.box_state import box_histories
from schemas.errors import ConfigError
from schemas.records import Decision, Verdict
from tests.pipeline.review.builders import decide, make_row

LATER = "2026-03-01T00:00:00.000000Z"


def said(who: str, box: int, verdict: Verdict, number: int, **more: object) -> Decision:
    return decide(f"toy/0#{box}", verdict, number, reviewer=who, **more)


def test_kappa_is_that_of_the_textbook() -> None:
    # Cohen's own form: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p_o 0.7, p_e 0.5.
    words = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(words) == pytest.approx(0.4)
    assert math.isnan(cohen_kappa([]))
    assert math.isnan(cohen_kappa([("y", "y")] * 3))  # chance alone agrees fully
    assert cohen_kappa([("y", "n"), ("n", "y")]) == pytest.approx(-1.0)


def test_agreement_counts_the_last_word_of_each_on_shared_boxes() -> None:
    rows = [
        said("a", 0, Verdict.DROP, 1),
        said("a", 0, Verdict.KEEP, 2),
        said("b", 0, Verdict.KEEP, 3),
        said("b", 1, Verdict.DROP, 4),  # nobody else's
        said("a", 2, Verdict.EDIT, 5, xyxy=(0.0, 0.0, 10.0, 10.0)),
        said("b", 2, Verdict.EDIT, 6, xyxy=(0.0, 0.0, 10.0, 5.0)),
    ]
    (one,) = agreements(rows)
    assert (one.first, one.second, one.boxes, one.same) == ("a", "b", 2, 2)
    assert (one.edits, one.edit_iou) == (1, pytest.approx(0.5))
    assert one.kappa == pytest.approx(1.0)


def test_a_word_taken_back_and_a_carried_one_do_not_count() -> None:
    rows = [
        said("a", 0, Verdict.DROP, 1),
        said("b", 0, Verdict.KEEP, 2),
        said("b", 0, Verdict.OPEN, 3),
        said("b", 1, Verdict.KEEP, 4),
        said("c", 1, Verdict.DROP, 5, carried_from="d9"),
    ]
    assert agreements(rows) == []
    assert conflicts(rows) == []


def test_a_conflict_stays_until_a_third_person_or_a_rule_speaks() -> None:
    two = [said("a", 0, Verdict.DROP, 1), said("b", 0, Verdict.KEEP, 2)]
    (conflict,) = conflicts(two)
    assert [word.reviewer for word in conflict.words] == ["a", "b"]
    again = [*two, said("a", 0, Verdict.DROP, 3)]
    assert len(conflicts(again)) == 1
    assert conflicts([*two, said("c", 0, Verdict.DROP, 4)]) == []


@pytest.mark.parametrize(
    "rule, verdict",
    [("latest", Verdict.KEEP), ("strict", Verdict.DROP), ("a", Verdict.DROP), ("majority", None)],
)
def test_rules(rule: str, verdict: Verdict | None) -> None:
    rows = [said("a", 0, Verdict.DROP, 1), said("b", 0, Verdict.KEEP, 2)]
    made, left = settle(conflicts(rows), rule, decided_at=LATER)
    assert [d.verdict for d in made] == ([] if verdict is None else [verdict])
    assert len(left) == (verdict is None)
    if made:
        assert made[0].reviewer == f"{RULE}{rule}"
        assert conflicts([*rows, *made]) == []
        standing = box_histories(make_row(), [*rows, *made])["toy/0#0"].current()
        assert standing.decision_id == made[0].decision_id


def test_a_majority_of_three() -> None:
    rows = [
        said("a", 0, Verdict.DROP, 1),
        said("b", 0, Verdict.DROP, 2),
        said("c", 0, Verdict.KEEP, 3),
    ]
    made, left = settle(conflicts(rows), "majority", decided_at=LATER)
    assert ([d.verdict for d in made], left) == ([Verdict.DROP], [])


def test_an_unknown_rule_names_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"latest, majority, strict, or a reviewer.*\(a\), got"):
        check_rule("zoe", [said("a", 0, Verdict.DROP, 1)])
