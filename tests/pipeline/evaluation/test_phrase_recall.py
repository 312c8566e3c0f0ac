from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import ratio_interval
from pipeline.evaluation.label_quality import label_quality
from pipeline.evaluation.phrase_recall import (
    OWN_FRAME,
    PUBLISHED_FRAME,
    GoldPhrase,
    PhraseImage,
    gold_phrases,
    phrase_recall,
    phrase_recalls,
)
from pipeline.gold import load_gold
from schemas.boxes import as_boxes
from schemas.errors import ConfigError
from schemas.records import TrainingSample

LEFT, RIGHT, BOTH = (0, 0, 10, 10), (20, 0, 30, 10), (0, 0, 30, 10)
AWAY = (100, 100, 110, 110)


def image(*phrases: tuple[list, list]) -> PhraseImage:
    """(gold boxes, ranked boxes) for each phrase."""
    return PhraseImage(
        phrases=tuple(
            GoldPhrase(span=(n, n + 1), xyxy=as_boxes(gold)) for n, (gold, _) in enumerate(phrases)
        ),
        ranked=tuple(as_boxes(ranked) for _, ranked in phrases),
    )


@pytest.mark.parametrize(
    "gold, ranked, protocol, expected",
    [
        ([LEFT], [], "any-box", (0, 0, 0, 0)),
        ([LEFT], [LEFT], "any-box", (1, 1, 1, 1)),
        ([LEFT], [RIGHT, LEFT], "any-box", (0, 1, 1, 1)),
        ([LEFT], [AWAY] * 5 + [LEFT], "any-box", (0, 0, 1, 1)),
        ([LEFT], [AWAY] * 10 + [LEFT], "any-box", (0, 0, 0, 1)),  # only the upper bound
        ([LEFT], [(0, 0, 10, 5)], "any-box", (1, 1, 1, 1)),  # IoU of exactly one half
        ([LEFT], [(0, 0, 10, 4.9)], "any-box", (0, 0, 0, 0)),
        # several gold boxes: the two protocols
        ([LEFT, RIGHT], [LEFT], "any-box", (1, 1, 1, 1)),
        ([LEFT, RIGHT], [LEFT], "merged", (0, 0, 0, 0)),
        ([LEFT, RIGHT], [BOTH], "merged", (1, 1, 1, 1)),
        ([LEFT, RIGHT], [BOTH], "any-box", (0, 0, 0, 0)),
    ],
)
def test_one_phrase(gold: list, ranked: list, protocol: str, expected: tuple) -> None:
    found = phrase_recall([image((gold, ranked))], protocol=protocol)
    values = [found.recall[k].value for k in (1, 5, 10)]
    assert (*values, found.upper_bound.value) == expected


def test_the_chance_floor_is_a_perfect_localiser_without_understanding() -> None:
    # two phrases, two boxes: the first guess is right half of the time, two guesses always
    found = phrase_recall([image(([LEFT], [LEFT]), ([RIGHT], [LEFT]))])
    assert found.chance[1].value == pytest.approx(0.5)
    assert found.chance[5].value == pytest.approx(1.0)
    assert found.recall[1].value == pytest.approx(0.5)
    # one phrase with both boxes: any guess is right
    assert phrase_recall([image(([LEFT, RIGHT], []))]).chance[1].value == 1.0
    # merged: no single gold box is the one around both
    merged = phrase_recall([image(([LEFT, RIGHT], []))], protocol="merged")
    assert merged.chance[1].value == 0.0


def test_nothing_to_measure_is_nan_not_zero() -> None:
    for images in ([], [image()]):
        found = phrase_recall(images)
        assert found.num_phrases == 0
        assert np.isnan(found.recall[1].value)
        assert np.isnan(label_quality(images).precision.value)


def test_unknown_protocol() -> None:
    with pytest.raises(ConfigError, match=r"protocol must be one of any-box, merged, got 'best'"):
        phrase_recall([], protocol="best")


def test_the_interval_draws_images_not_phrases() -> None:
    # 20 images of 10 phrases that all hit or all miss: as uncertain as 20 coins, not 200
    rights = [10.0, 0.0] * 10
    wide = ratio_interval(rights, [10.0] * 20)
    narrow = ratio_interval([1.0, 0.0] * 100, [1.0] * 200)
    assert wide.value == narrow.value == 0.5
    assert wide.high - wide.low == pytest.approx(0.44, abs=0.08)
    assert narrow.high - narrow.low == pytest.approx(0.14, abs=0.03)
    assert ratio_interval(rights, [10.0] * 20) == wide  # seeded


def test_gold_phrases_group_boxes_by_span() -> None:
    sample = TrainingSample(
        sample_id="s",
        image_uri="a.jpg",
        width=64,
        height=48,
        caption="two kids fly a kite",
        boxes=(LEFT, RIGHT, BOTH),
        spans=(((13, 19),), ((0, 8),), ((0, 8), (13, 19))),
        weights=(1.0, 1.0, 1.0),
    )
    first, second = gold_phrases(sample)
    assert (first.span, first.xyxy.tolist()) == ((0, 8), [list(RIGHT), list(BOTH)])
    assert (second.span, second.xyxy.tolist()) == ((13, 19), [list(LEFT), list(BOTH)])


def test_label_quality_counts_every_label() -> None:
    found = label_quality([image(([LEFT, RIGHT], [LEFT, AWAY]), ([BOTH], [BOTH]))])
    assert (found.num_labels, found.num_gold) == (3, 3)
    assert found.precision.value == pytest.approx(2 / 3)
    assert found.recall.value == pytest.approx(2 / 3)
    # three gold boxes: two of them are right for the first phrase, one for the second
    assert found.chance_precision.value == pytest.approx((2 * 2 / 3 + 1 / 3) / 3)


def test_flickr_is_measured_in_the_frame_of_published_figures_too(tmp_path: Path) -> None:
    (tmp_path / "Sentences").mkdir()
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Sentences" / "7.txt").write_text("[/EN#1/other A cup] on [/EN#2/other a mat]\n")
    box = (
        "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>11</ymin><xmax>{}</xmax>"
        "<ymax>12</ymax></bndbox></object>"
    )
    size = "<size><width>40</width><height>30</height></size>"
    xml = f"<annotation>{size}{box.format(1, 11, 12)}{box.format(2, 1, 40)}</annotation>"
    (tmp_path / "Annotations" / "7.xml").write_text(xml)
    gold = load_gold(str(tmp_path), "flickr30k")
    (sample,) = gold.samples
    assert sample.boxes == ((10.0, 10.0, 12.0, 12.0), (0.0, 10.0, 40.0, 12.0))
    assert gold.published_boxes[sample.sample_id] == ((11, 11, 12, 12), (1, 11, 40, 12))
    # A box of 2 x 2 pixels, found exactly: in the published frame it is one of 1 x 1.
    ranked = tuple(phrase.xyxy for phrase in gold_phrases(sample))
    image = PhraseImage(phrases=gold_phrases(sample), ranked=ranked)
    found = phrase_recalls([image], [sample], gold)
    assert [(one.protocol, one.frame) for one in found] == [
        ("any-box", OWN_FRAME),
        ("merged", OWN_FRAME),
        ("any-box", PUBLISHED_FRAME),
        ("merged", PUBLISHED_FRAME),
    ]
    assert [one.recall[1].value for one in found] == [1.0, 1.0, 0.0, 0.0]
