"""Whose words stand on drawn labels, and when a fingerprint of them changes."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.curation.standing_words import standing_words, words_id
from schemas.records import Decision, Verdict
from tests.schemas.builders import make_decision

LABEL = ("p/0", "p/0#0")


def words(*said: tuple[str, Verdict, str]) -> list[Decision]:
    """(reviewer, verdict, box id or nothing for the pair), in the order of time."""
    return [
        make_decision(
            decision_id=f"d{n}",
            record_id="p/0",
            box_id=box_id,
            verdict=verdict,
            reviewer=reviewer,
            xyxy=None,
            phrase_index=None,
            reason="why" if verdict == Verdict.BAD else "",
            decided_at=f"2026-01-01T00:00:{n:02}.000000Z",
        )
        for n, (reviewer, verdict, box_id) in enumerate(said)
    ]


BOX, PAIR = LABEL[1], ""
KEEP, DROP, OPEN, BAD, DONE = Verdict.KEEP, Verdict.DROP, Verdict.OPEN, Verdict.BAD, Verdict.DONE


@pytest.mark.parametrize(
    "said, standing",
    [
        ([], {}),
        ([("ann", KEEP, BOX), ("ann", DROP, BOX)], {"ann": DROP}),
        ([("ann", KEEP, BOX), ("bob", DROP, BOX)], {"ann": KEEP, "bob": DROP}),
        # a pair that is bad is bad, whichever word came first
        ([("ann", BAD, PAIR), ("ann", KEEP, BOX)], {"ann": BAD}),
        ([("ann", KEEP, BOX), ("ann", BAD, PAIR)], {"ann": BAD}),
        ([("ann", KEEP, BOX), ("ann", BAD, PAIR), ("ann", DONE, PAIR)], {"ann": KEEP}),
        ([("ann", KEEP, BOX), ("ann", BAD, PAIR), ("bob", OPEN, PAIR)], {"ann": KEEP}),
        ([("ann", BAD, PAIR), ("bob", DONE, PAIR)], {"ann": BAD}),
        # who opens a label again leaves it without a word
        ([("ann", KEEP, BOX), ("bob", OPEN, BOX)], {}),
        ([("ann", KEEP, BOX), ("bob", OPEN, BOX), ("bob", DROP, BOX)], {"bob": DROP}),
        # a rule is not a person
        ([("ann", KEEP, BOX), ("rule:latest", DROP, BOX)], {"ann": KEEP}),
        ([("ann", DROP, "p/0#1"), ("ann", DONE, PAIR)], {}),
    ],
)
def test_whose_words_stand(said: list[Any], standing: dict[str, Verdict]) -> None:
    found = standing_words([LABEL], words(*said)).get(LABEL, {})
    assert {reviewer: word.verdict for reviewer, word in found.items()} == standing


def test_the_fingerprint_is_of_what_is_said() -> None:
    first = words_id([LABEL], words(("ann", KEEP, BOX)))
    # the same again, about another label, or of the pair as a whole, says nothing new
    for more in (("ann", KEEP, BOX), ("ann", DROP, "p/0#1"), ("ann", DONE, PAIR)):
        assert words_id([LABEL], words(("ann", KEEP, BOX), more)) == first
    for more in (("ann", DROP, BOX), ("bob", KEEP, BOX), ("ann", OPEN, BOX), ("bob", BAD, PAIR)):
        assert words_id([LABEL], words(("ann", KEEP, BOX), more)) != first
