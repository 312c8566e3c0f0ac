from __future__ import annotations

from typing import Any

import pytest

from pipeline.evaluation.gold_index import JoinCounts, JoinedPair, join_run
from pipeline.evaluation.run_join import category_image, names_category, phrase_image
from pipeline.evaluation.synonyms import BUILT_IN, Synonyms
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
        ({"image_uri": "http://h/images/0.jpg?size=2"}, [{}], "g/0"),
        ({"image_uri": "http://h/a%20b.jpg"}, [{"image_uri": "d/a b.jpg"}], "g/0"),
        ({"image_uri": "/d/caf\u0065\u0301.jpg"}, [{"image_uri": "d/caf\u00e9.jpg"}], "g/0"),
        ({"image_uri": "/d/IMG_1.JPG"}, [{"image_uri": "d/img_1.jpg"}], "g/0"),
        (
            {"image_uri": "/d/a.JPG"},
            [{"image_uri": "d/a.jpg"}, {"sample_id": "g/1", "image_uri": "d/a.JPG"}],
            "g/1",
        ),
        (
            {"image_uri": "/d//b/./0.jpg"},
            [{"image_uri": "d/a/0.jpg"}, {"sample_id": "g/1", "image_uri": "d/b/0.jpg"}],
            "g/1",
        ),
        # of two folders of a Windows path the right one
        (
            {"image_uri": "/x/b/0.jpg"},
            [{"image_uri": "C:\\a\\0.jpg"}, {"sample_id": "g/1", "image_uri": "C:\\b\\0.jpg"}],
            "g/1",
        ),
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


def test_another_record_that_fits_better_takes_the_gold() -> None:
    photos = gold(sample(image_uri="a/0.jpg"), sample(sample_id="g/9", image_uri="9.jpg"))
    rows = [
        make_annotation(record_id="far", image_uri="/x/b/0.jpg"),
        make_annotation(record_id="near", image_uri="/x/a/0.jpg"),
    ]
    counts = JoinCounts()
    assert [pair.record.record_id for pair in join_run(rows, photos, counts)] == ["near"]
    assert (counts.records_outdone, counts.records_unmatched) == (1, ["far"])
    assert counts.gold_unmatched == ["g/9"]
    assert counts.notes() == [
        "1 records of the run fit gold that another image fits as well or better; they are not "
        "judged",
        "records that are not judged: far",
        "1 of 2 gold samples are not in the run; figures are over the others. Missing: g/9",
    ]


def test_two_images_that_fit_equally_well_are_not_guessed() -> None:
    rows = [make_annotation(record_id=n, image_uri=f"/x/{n}/0.jpg") for n in ("b", "c")]
    with pytest.raises(ConfigError, match=r"and 2 one that another image fits as well"):
        join_run(rows, gold(sample(image_uri="a/0.jpg")), JoinCounts())


def test_captions_of_one_image_share_its_detection_gold() -> None:
    photos = gold(sample(), kind=GoldKind.DETECTION, box_categories={"g/0": (0,)})
    rows = [make_annotation(record_id=n, image_uri="x/0.jpg") for n in ("b", "c")]
    counts = JoinCounts()
    assert len(join_run(rows, photos, counts)) == 2
    assert (counts.gold_samples_joined, counts.joined_by_name_alone) == (1, 2)


def test_a_name_in_both_cases_is_two_images() -> None:
    images = [sample(image_uri="d/a.jpg"), sample(sample_id="g/1", image_uri="d/A.jpg")]
    rows = [
        make_annotation(record_id="r/0", image_uri="/x/d/A.jpg"),
        make_annotation(record_id="r/1", image_uri="/x/d/a.jpg"),
    ]
    joined = join_run(rows, gold(*images), JoinCounts())
    assert [(p.record.record_id, p.sample.sample_id) for p in joined] == [
        ("r/0", "g/1"),
        ("r/1", "g/0"),
    ]
    counts = JoinCounts()
    assert len(join_run(rows, gold(images[0]), counts)) == 1
    assert counts.records_unmatched == ["r/0"]


def test_the_size_tells_images_of_one_name_apart() -> None:
    twins = gold(
        sample(image_uri="a/0.jpg", width=99), sample(sample_id="g/1", image_uri="b/0.jpg")
    )
    (pair,) = join_run([make_annotation(image_uri="c/0.jpg")], twins, JoinCounts())
    assert pair.sample.sample_id == "g/1"
    counts = JoinCounts()
    with pytest.raises(ConfigError, match=r"1 one of another size"):
        join_run([make_annotation()], gold(sample(width=99)), counts)
    (unread,) = join_run([make_annotation(width=0, height=0)], gold(sample(width=99)), counts)
    assert unread.sample.width == 99  # an image that never opened has no size to compare


@pytest.mark.parametrize(
    "names, synonyms, expected",
    [
        (("person",), BUILT_IN, 1),
        (("person",), {}, 0),
        (("person", "woman"), BUILT_IN, 0),  # a woman is a category of her own here
        (("human being",), {"human being": ["woman"]}, 1),
    ],
)
def test_a_woman_is_a_person(names: tuple[str, ...], synonyms: Synonyms, expected: int) -> None:
    photos = gold(
        sample(spans=((),)),
        kind=GoldKind.DETECTION,
        categories=names,
        box_categories={"g/0": (0,)},
    )
    row = make_annotation(
        caption="a woman", phrases=(make_phrase("a woman", "a woman", head="woman"),)
    )
    counts = JoinCounts()
    image = category_image(
        JoinedPair(sample=photos.samples[0], record=row), photos, counts, synonyms
    )
    assert len(image.phrases) == counts.phrases_by_synonym == expected
