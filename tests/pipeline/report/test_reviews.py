"""The figures of a run's decisions."""

from __future__ import annotations

import json
import math

import pytest

from pipeline.curation.pushed import Pushed
from pipeline.report.reviews import Judged, as_json, lines, progress_line, review_stats
from schemas.records import Verdict
from tests.pipeline.review.builders import decide, make_row


def test_nothing_decided() -> None:
    assert review_stats([make_row()], []) is None


def test_acceptance_by_score_and_noun() -> None:
    stats = review_stats(
        [make_row()],
        [
            decide("toy/0#0", Verdict.KEEP, 1),
            decide("toy/0#1", Verdict.DROP, 2),
            decide("toy/0#2", Verdict.EDIT, 3, xyxy=(0.0, 0.0, 5.0, 5.0)),
            decide("drawn", Verdict.ADD, 4, xyxy=(0.0, 0.0, 5.0, 5.0), phrase_index=0),
            decide("", Verdict.DONE, 5),
        ],
    )
    assert stats is not None
    judged = stats.judged
    assert (judged.accepted, judged.fixed, judged.rejected, stats.drawn) == (1, 1, 1, 1)
    assert judged.precision == pytest.approx(1 / 3)
    assert stats.by_score[2].rejected == 1  # the score 0.25
    assert stats.by_score[1].fixed == 1  # the score 0.125
    assert stats.by_phrase["café"].boxes == 1
    assert stats.pairs == {"done": 1}
    text = "\n".join(lines(stats))
    assert "3 boxes judged: 1 accepted, 1 changed, 1 rejected; 1 drawn" in text
    assert "not an estimate for the run" in text
    assert json.loads(json.dumps(as_json(stats), allow_nan=False))["is_audited"] is False


def test_the_interval_is_clopper_and_pearsons() -> None:
    # Of 10 with 9 right: (0.5550, 0.9975), as in tables of the binomial distribution.
    low, high = Judged(accepted=9, rejected=1).interval()
    assert (low, high) == (pytest.approx(0.5550, abs=1e-4), pytest.approx(0.9975, abs=1e-4))
    assert Judged().interval() == (0.0, 1.0)
    assert math.isnan(Judged().precision)
    assert Judged(accepted=5).interval()[1] == 1.0


def test_pauses_are_no_work() -> None:
    def said(minute: int, second: int, box: int) -> object:
        moment = f"2026-01-01T00:{minute:02d}:{second:02d}.000000Z"
        return decide(f"toy/0#{box}", Verdict.KEEP, box, decided_at=moment)

    stats = review_stats([make_row()], [said(0, 0, 0), said(0, 36, 1), said(30, 0, 2)])
    assert stats is not None
    assert stats.reviewers["ann"] == (3, pytest.approx(0.01))
    assert stats.boxes_an_hour() == pytest.approx(300)


def test_progress_is_told_against_what_was_pushed() -> None:
    words = [decide(f"toy/0#{n}", Verdict.KEEP, 30 * n) for n in range(2)]
    stats = review_stats([make_row()], [*words, decide("", Verdict.DONE, 45)])
    assert stats is not None
    text = progress_line(stats, Pushed(dataset="runs-1", pairs=4, boxes=242))
    assert text.startswith("1 of 4 pairs done, 2 of 242 boxes of dataset runs-1 judged")
    assert text.endswith("about 1.0 hours left at 240 boxes an hour")
