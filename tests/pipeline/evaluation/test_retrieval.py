"""Recall@k both ways, by hand, and at chance."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.retrieval import any_drawn, pair_score, retrievals


def test_by_hand() -> None:
    # Two images, three captions: the first two are of image 0.
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.7, 0.6]])
    to_caption, to_image = retrievals(scores, [0, 0, 1])
    assert to_caption.recall[1].value == 0.5  # image 1 prefers a caption of image 0
    assert to_caption.recall[5].value == 1.0
    assert (to_caption.queries, to_caption.candidates) == (2, 3)
    assert to_image.recall[1].value == pytest.approx(2 / 3)  # caption 1 prefers image 1
    assert to_caption.chance[1] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert to_image.chance[1] == pytest.approx(1 / 2)


@pytest.mark.parametrize("captions_each", [1, 5])
def test_scores_that_say_nothing_are_at_chance(captions_each: int) -> None:
    image_of = [image for image in range(20) for _ in range(captions_each)]
    for found in retrievals(np.full((20, len(image_of)), 0.3), image_of):
        for k, recall in found.recall.items():
            assert recall.value == pytest.approx(found.chance[k])
        assert found.chance[1] == pytest.approx(1 / 20)


def test_ties_are_drawn_and_the_order_of_the_data_says_nothing() -> None:
    # Image 0 leads with three captions, one of them its own; image 1 with its own alone.
    scores = np.array([[0.5, 0.5, 0.5, 0.1], [0.2, 0.9, 0.1, 0.1], [0.0] * 4, [0.0, 0.0, 0.1, 0.3]])
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        image_of = [order.index(image) for image in order]
        shuffled = scores[np.ix_(order, order)]
        to_caption, _ = retrievals(shuffled, image_of)
        assert to_caption.recall[1].value == pytest.approx((1 / 3 + 1 + 1 / 4 + 1) / 4)


def test_without_ties_recall_is_that_of_a_rank() -> None:
    scores = np.random.default_rng(0).random((12, 24))
    image_of = [caption // 2 for caption in range(24)]
    ranks = [
        min(int(np.flatnonzero(np.argsort(row)[::-1] == own)[0]) for own in (2 * i, 2 * i + 1))
        for i, row in enumerate(scores)
    ]
    to_caption, _ = retrievals(scores, image_of)
    for k, recall in to_caption.recall.items():
        assert recall.value == pytest.approx(sum(rank < k for rank in ranks) / 12)


def test_a_perfect_order_is_found() -> None:
    for found in retrievals(np.eye(30), list(range(30))):
        assert all(recall.value == 1.0 for recall in found.recall.values())
        assert found.recall[1].low == 1.0


def test_the_chance_of_a_draw() -> None:
    assert any_drawn(10, 1, 3) == pytest.approx(0.3)
    assert any_drawn(10, 2, 10) == 1.0
    assert any_drawn(10, 1, 0) == 0.0
    assert any_drawn(3, 1, -4) == 0.0


def test_the_score_of_a_pair_is_the_mean_over_phrases() -> None:
    assert pair_score(np.array([0.2, 0.6], np.float32)) == pytest.approx(0.4)
