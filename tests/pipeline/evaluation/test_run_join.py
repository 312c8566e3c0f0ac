from __future__ import annotations

from typing import Any

import pytest

from pipeline.evaluation.run_join import (
    JoinCounts,
    JoinedPair,
    category_image,
    join_run,
    names_category,
    phrase_image,
)
from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.errors import ConfigError
from schemas.records import Phrase, TrainingSample
from tests.schemas.builders import make_annotation, make_box, make_curated, make_phrase

CAPTION = "a dog and a café"


def sample(**changes: Any) -> TrainingSample:
    fields: dict[str, Any] = {
        "sample_id": "g/0",
        "image_uri": "gold/images/0.jpg",
        "width": 64,
        "height": 48,
        "caption": CAPTION,
        "boxes": ((1.0, 2.0, 30.0, 40.0),),
        "spans": (((0, 5),),),
        "weights": (1.0,),
    }
    return TrainingSample(**(fields | changes))


def gold(*samples: TrainingSample, kind: GoldKind = GoldKind.GROUNDING, **more: Any) -> GoldSet:
    return GoldSet(name="g", format="mdetr", kind=kind, samples=samples, **more)


@pytest.mark.parametrize(
    "record, samples, expected",
    [
        ({"record_id": "g/0", "image_uri": "x.png", "caption": CAPTION}, [{}], "g/0"),  # by id
        ({"image_uri": "/data/photos/images/0.jpg"}, [{}], "g/0"),
        ({"image_uri": "shard-1.tar#0.jpg"}, [{}], "g/0"),
        ({"image_uri": "images/1.jpg"}, [{}], None),
        ({}, [{"caption": "another"}], None),
        # one file name in two folders: the longer common path decides
        (
            {"image_uri": "/x/b/0.jpg"},
            [{"image_uri": "a/0.jpg"}, {"sample_id": "g/1", "image_uri": "b/0.jpg"}],
            "g/1",
        ),
    ],
)
def test_which_sample_a_record_is(record: dict, samples: list, expected: str | None) -> None:
    row = make_annotation(**record)
    counts = JoinCounts()
    other = sample(sample_id="other", image_uri="other.jpg")
    rows = [row, make_annotation(record_id="z", image_uri="other.jpg")]
    joined = join_run(rows, gold(other, *(sample(**s) for s in samples)), counts)
    ids = [pair.sample.sample_id for pair in joined]
    assert ids == ([expected, "other"] if expected else ["other"])
    assert counts.records_without_gold == (expected is None)


def test_what_fits_several_samples_is_counted_and_nothing_at_all_is_an_error() -> None:
    twins = gold(sample(image_uri="a/0.jpg"), sample(sample_id="g/1", image_uri="b/0.jpg"))
    counts = JoinCounts()
    with pytest.raises(ConfigError, match=r"no record of the run is a sample of gold .g.*1 sev"):
        join_run([make_annotation(image_uri="c/0.jpg")], twins, counts)
    assert counts.ambiguous_records == 1


@pytest.mark.parametrize(
    "span, num_boxes, field",
    [
        ((0, 5), 1, "phrases_exact"),
        ((2, 5), 1, "phrases_overlapping"),  # "dog" of "a dog": 3 of 5 characters
        ((4, 9), 0, "phrases_missed"),  # "g and": one character in common
        ((6, 9), 0, "phrases_missed"),
    ],
)
def test_which_phrase_is_which(span: tuple[int, int], num_boxes: int, field: str) -> None:
    counts = JoinCounts()
    pair = JoinedPair(sample=sample(spans=((span,),)), record=make_annotation())
    image = phrase_image(pair, counts)
    assert [len(boxes) for boxes in image.ranked] == [num_boxes]
    assert getattr(counts, field) == 1
    assert counts.labels_elsewhere == 1 - num_boxes


def test_boxes_come_best_first_also_from_curated_records() -> None:
    boxes = tuple(
        make_box(box_id=f"toy/0#{n}", score=score, xyxy=(n, 0.0, n + 5.0, 5.0))
        for n, score in enumerate((0.2, 0.9, 0.5))
    )
    pair = JoinedPair(sample=sample(), record=make_annotation(boxes=boxes))
    assert phrase_image(pair, JoinCounts()).ranked[0][:, 0].tolist() == [1, 2, 0]
    both = sample(spans=(((0, 5), (10, 16)),))
    curated = JoinedPair(sample=both, record=make_curated())  # one box with both phrases
    assert [len(boxes) for boxes in phrase_image(curated, JoinCounts()).ranked] == [1, 1]


@pytest.mark.parametrize(
    "text, head, category, expected",
    [
        ("two dogs", "dog", "dog", True),
        ("an old dining table", "table", "dining table", True),
        ("a table", "table", "dining table", False),
        ("a hot dog", "dog", "dog", True),  # by the head noun alone
        ("a man", "man", "person", False),
        ("a bow", "bow", "bow_(weapon)", True),
        ("a dog", "dog", "", False),
    ],
)
def test_which_category_a_phrase_names(text: str, head: str, category: str, expected: bool) -> None:
    phrase = Phrase(text=text, start=0, end=len(text), head=head)
    assert names_category(phrase, category) is expected


def test_detection_gold_joins_by_file_and_head_noun() -> None:
    of_image = sample(boxes=((1.0, 2.0, 30.0, 40.0), (0.0, 0.0, 5.0, 5.0)), spans=((), ()))
    photos = gold(
        of_image,
        kind=GoldKind.DETECTION,
        categories=("cat", "dog"),
        box_categories={"g/0": (1, 0)},
    )
    counts = JoinCounts()
    row = make_annotation(
        caption="one dog",
        phrases=(make_phrase("one dog", "one dog", head="dog"),),
    )
    (pair,) = join_run([row], photos, counts)
    image = category_image(pair, photos, counts)
    assert [phrase.xyxy.tolist() for phrase in image.phrases] == [[[1.0, 2.0, 30.0, 40.0]]]
    assert [len(boxes) for boxes in image.ranked] == [1]
