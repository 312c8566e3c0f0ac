"""The saved views choose images by the boxes that show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.review.sync.label.notes import Notes
from schemas.records import Status
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


def test_views_are_about_the_boxes_that_show(bench: Bench) -> None:
    """toy/0 shows its two dogs, of which one is not found again; toy/1 nothing; toy/2 all."""
    shows = {"toy/0": 2, "toy/1": 0, "toy/2": 3}
    again = {"toy/0#0": 0.9, "toy/0#1": 0.25, "toy/1#0": 0.1, "toy/2#0": 0.75}
    bench.push(
        notes=Notes(
            keeps=lambda row: frozenset(box.box_id for box in row.boxes[: shows[row.record_id]]),
            again=lambda row: again,
        )
    )

    def pairs(name: str) -> list[str]:
        return list(bench.dataset.load_saved_view(name).values("record_id"))

    assert pairs("captions without boxes") == ["toy/1"]
    assert pairs("ungrounded phrases") == ["toy/0", "toy/1"]
    assert pairs("pending") == ["toy/0", "toy/2"]
    assert pairs("whole-image boxes") == ["toy/2"]
    assert pairs("several boxes per phrase") == ["toy/0", "toy/2"]
    assert pairs("unstable scores") == ["toy/0"]
    assert pairs("weakest first") == ["toy/2", "toy/0"]
    assert bench.label("toy/0#1")["stability"] == 0.25
    bench.push(notes=Notes(keeps=lambda row: frozenset({"toy/2#0"})))
    # Without the layer by the margin, of phrases of which a box shows.
    assert [bench.document(n)["margin"] is None for n in range(3)] == [True, True, False]
    assert bench.document(2)["margin"] > 0.05
    assert pairs("unstable scores") == []


def test_views_of_pairs_without_boxes(bench: Bench) -> None:
    bench.rows[0] = replace(bench.rows[0], boxes=(), status=Status.NO_BOXES)
    bench.push()
    assert len(bench.dataset.load_saved_view("captions without boxes")) == 1
    assert len(bench.dataset.load_saved_view("ungrounded phrases")) == 1
