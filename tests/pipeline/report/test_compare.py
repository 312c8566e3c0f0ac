from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.report.compare import LabelChange, RunComparison, compare_runs
from schemas.errors import ConfigError, DataError
from schemas.records import Annotation, Status
from schemas.tables import annotations_to_table
from tests.schemas.builders import make_annotation, make_box, make_phrase

ALL = FilterPolicy(name="all", min_boxes=0)
LEFT, LOOSE, RIGHT = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 8.0), (30.0, 0.0, 40.0, 10.0)


def row(number: int, *boxes: tuple[int, float, Any], **changes: Any) -> Annotation:
    made = tuple(
        make_box(box_id=f"toy/{number}#{n}", phrase_index=phrase, score=score, xyxy=xyxy)
        for n, (phrase, score, xyxy) in enumerate(boxes)
    )
    status = Status.OK if made else Status.NO_BOXES
    fields = {"record_id": f"toy/{number}", "boxes": made, "status": status}
    return make_annotation(**(fields | changes))


def compared(a: list[Annotation], b: list[Annotation]) -> RunComparison:
    return compare_runs([annotations_to_table(a)], [annotations_to_table(b)], ALL)


@pytest.mark.parametrize(
    "a, b, kept, missed, added",
    [
        ([], [], 0, 0, 0),
        ([(0, 0.5, LEFT)], [], 0, 1, 0),
        ([], [(0, 0.5, LEFT)], 0, 0, 1),
        ([(0, 0.5, LEFT)], [(0, 0.7, LOOSE)], 1, 0, 0),
        ([(0, 0.5, LEFT)], [(0, 0.7, RIGHT)], 0, 1, 1),
        ([(0, 0.5, LEFT)], [(1, 0.7, LEFT)], 0, 1, 1),  # the same place under another phrase
        # one to one: two boxes of A cannot both be the one of B
        ([(0, 0.9, LEFT), (0, 0.8, LOOSE)], [(0, 0.7, LEFT)], 1, 1, 0),
    ],
)
def test_labels_of_one_pair(a: list, b: list, kept: int, missed: int, added: int) -> None:
    total = compared([row(0, *a)], [row(0, *b)]).total
    assert (total.kept, total.missed, total.added) == (kept, missed, added)


def test_a_kept_label_at_another_place_was_moved() -> None:
    assert compared([row(0, (0, 0.5, LEFT))], [row(0, (0, 0.7, LOOSE))]).total.moved == 1
    assert compared([row(0, (0, 0.5, LEFT))], [row(0, (0, 0.7, LEFT))]).total.moved == 0


def test_a_run_agrees_with_itself() -> None:
    rows = [row(0, (0, 0.5, LEFT), (1, 0.6, RIGHT)), row(1)]
    found = compared(rows, rows)
    assert (found.pairs, found.total.agreement, found.top1_agreement) == (2, 1.0, 1.0)
    assert (found.total.mean_shift, found.total.mean_iou) == (0.0, 1.0)
    assert found.statuses == {("ok", "ok"): 1, ("no_boxes", "no_boxes"): 1}
    assert found.shift_bins[10] == 2


def test_score_shift_and_nouns() -> None:
    a = [row(0, (0, 0.5, LEFT), (1, 0.5, RIGHT)), row(1, (0, 0.4, LEFT))]
    b = [row(0, (0, 0.9, LOOSE)), row(1, (0, 0.6, LEFT), (1, 0.3, RIGHT))]
    found = compared(a, b)
    assert found.total.mean_shift == pytest.approx(0.3)
    assert found.total.mean_iou == pytest.approx(0.9)
    assert found.total.agreement == pytest.approx(2 * 2 / 6)
    assert {noun: (c.kept, c.missed, c.added) for noun, c in found.by_noun.items()} == {
        "dog": (2, 0, 0),
        "café": (0, 1, 1),
    }
    assert [noun for noun, _ in found.most_changed(1)] == ["café"]


def test_orders_may_differ_and_what_is_missing_is_counted() -> None:
    a = [row(n, (0, 0.5, LEFT)) for n in (0, 1, 2, 3)]
    b = [row(n, (0, 0.5, LEFT)) for n in (3, 2, 1, 9)]
    found = compared(a, b)
    assert (found.pairs, found.pairs_only_a, found.pairs_only_b) == (3, 1, 1)
    assert found.total.kept == 3


def test_other_parsers_give_other_phrases() -> None:
    short = make_annotation(phrases=(make_phrase("a dog and a café", "dog"),))
    found = compared([make_annotation()], [short])
    assert (found.phrases, found.phrases_only_a, found.phrases_only_b) == (0, 2, 1)
    assert (found.total.missed, found.total.added) == (1, 1)


def test_another_caption_under_the_same_id_is_not_compared() -> None:
    other = make_annotation(caption="a dog", phrases=(make_phrase("a dog", "a dog"),))
    found = compared([make_annotation()], [other])
    assert (found.captions_differ, found.total.kept) == (1, 0)
    assert np.isnan(found.total.agreement)
    assert np.isnan(LabelChange().mean_shift)


def test_what_cannot_be_compared_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"no record in common \(1 and 0 records\)"):
        compared([row(0)], [])
    with pytest.raises(DataError, match=r"record 'toy/0' occurs twice in run B"):
        compared([row(1)], [row(0), row(0)])
