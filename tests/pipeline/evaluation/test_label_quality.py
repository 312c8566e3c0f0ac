"""Precision and recall of labels, in all and by noun."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.evaluation.label_quality import label_quality
from pipeline.evaluation.phrase_recall import GoldPhrase, PhraseImage

A, B, AWAY = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (50.0, 50.0, 60.0, 60.0)


def phrase(noun: str, *boxes) -> GoldPhrase:
    return GoldPhrase(span=(0, 1), xyxy=np.array(boxes, dtype=np.float64), noun=noun)


def pair(*phrases_and_labels) -> PhraseImage:
    return PhraseImage(
        phrases=tuple(one for one, _ in phrases_and_labels),
        ranked=tuple(
            np.array(labels, dtype=np.float64).reshape(-1, 4) for _, labels in phrases_and_labels
        ),
    )


@pytest.mark.parametrize("images", [[], [PhraseImage(phrases=(), ranked=())]])
def test_nothing_to_measure(images) -> None:
    found = label_quality(images)
    assert (found.num_labels, found.num_gold, found.by_noun) == (0, 0, {})
    assert math.isnan(found.precision.value)
    assert found.most_wrong(5) == []


def test_phrases_without_labels_are_misses() -> None:
    found = label_quality([pair((phrase("cat", A), ()))])
    assert (found.num_labels, found.num_gold, found.recall.value) == (0, 1, 0.0)
    assert (found.by_noun["cat"].gold, found.by_noun["cat"].found) == (1, 0)


def test_right_wrong_and_swapped_labels_by_noun() -> None:
    images = [
        pair((phrase("cat", A), (A, AWAY)), (phrase("dog", B), (A,))),
        pair((phrase("cat", A, B), (B,))),
    ]
    found = label_quality(images)
    assert (found.num_labels, found.num_gold) == (4, 4)
    assert found.precision.value == 2 / 4
    assert found.recall.value == 2 / 4
    cat, dog = found.by_noun["cat"], found.by_noun["dog"]
    assert (cat.labels, cat.right, cat.wrong, cat.gold, cat.found) == (3, 2, 1, 3, 2)
    assert (dog.labels, dog.right, dog.wrong) == (1, 0, 1)
    assert [noun for noun, _ in found.most_wrong(1)] == ["cat"]  # of equals the first by name


def test_chance_hands_out_the_gold_boxes_of_the_pair() -> None:
    found = label_quality([pair((phrase("cat", A), (A,)), (phrase("dog", B), (B,)))])
    assert found.chance_precision.value == 0.5
