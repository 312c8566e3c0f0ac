from __future__ import annotations

from collections import Counter

import pytest

from pipeline.training_set.example import check_sample
from pipeline.training_set.nameless import NAMELESS, without_nameless
from schemas.records import TrainingSample


def _sample(caption: str, spans: tuple, negatives: tuple = ()) -> TrainingSample:
    return TrainingSample(
        sample_id="1",
        image_uri="1.png",
        width=50,
        height=50,
        caption=caption,
        boxes=tuple((1.0, 1.0, 9.0 + n, 9.0) for n in range(len(spans))),
        spans=spans,
        weights=(1.0,) * len(spans),
        negative_spans=negatives,
    )


@pytest.mark.parametrize(
    "caption, spans, kept",
    [
        ("cat. ", (((0, 3),), ((5, 5),)), 1),  # a category whose name is empty
        ("cat.  . dog", (((0, 3),), ((4, 5),), ((8, 11),)), 2),  # one of spaces
        ("cat. ", (((0, 3), (5, 5)),), 1),
        ("", (((0, 0),),), 0),
    ],
)
def test_boxes_without_a_name_go_and_are_counted(caption: str, spans: tuple, kept: int) -> None:
    counts: Counter[str] = Counter()
    sample = without_nameless(_sample(caption, spans, ((len(caption), len(caption)),)), counts)
    check_sample(sample)
    assert len(sample.boxes) == kept
    assert counts[NAMELESS] == len(spans) - kept
    assert sample.negative_spans == ()


def test_everything_else_is_left_to_the_check() -> None:
    counts: Counter[str] = Counter()
    whole = _sample("cat. dog", (((0, 3),), ((5, 8),)))
    assert without_nameless(whole, counts) is whole
    wrong = _sample("cat", (((0, 9),), ()))
    assert without_nameless(wrong, counts) is wrong
    assert counts == {}
