"""What the words of people make of a drawn label."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.trust.verdicts import Truth, judge
from schemas.records import Verdict
from tests.schemas.builders import make_decision


@pytest.mark.parametrize(
    "verdict, changes, expected",
    [
        (Verdict.KEEP, {}, Truth.RIGHT),
        (Verdict.DROP, {}, Truth.WRONG),
        (Verdict.EDIT, {"xyxy": (0.0, 5.0, 9.0, 20.0)}, Truth.RIGHT),
        (Verdict.EDIT, {"xyxy": (30.0, 5.0, 60.0, 40.0)}, Truth.WRONG),
        (Verdict.EDIT, {"phrase_index": 2}, Truth.WRONG),
        (Verdict.BAD, {"box_id": "", "reason": "a collage"}, Truth.WRONG),
        (Verdict.DONE, {"box_id": ""}, Truth.MISSING),  # looked at, which says nothing of a box
        (Verdict.OPEN, {}, Truth.MISSING),  # taken back
        (Verdict.OPEN, {"reason": "unsure: too small"}, Truth.UNSURE),
        (Verdict.KEEP, {"carried_from": "d7"}, Truth.MISSING),  # said of another run's box
    ],
)
def test_what_a_verdict_means(verdict: Verdict, changes: dict[str, Any], expected: Truth) -> None:
    run_label = draw_label()
    fields = {"xyxy": None, "phrase_index": None, "box_id": "sim/0#0", "record_id": "sim/0"}
    word = make_decision(verdict=verdict, **(fields | changes))
    assert judge([run_label], [word]).truths == (expected,)


def draw_label() -> Any:
    from pipeline.trust.audit_sample import DrawnLabel

    return DrawnLabel(
        unit_id="u0",
        record_id="sim/0",
        box_id="sim/0#0",
        phrase_index=0,
        phrase="a dog",
        noun="dog",
        xyxy=(0.0, 5.0, 8.0, 20.0),
        level=0.9,
        stratum=0,
        probability=1.0,
    )
