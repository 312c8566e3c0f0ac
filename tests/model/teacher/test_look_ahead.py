"""Images that are prepared while the network works."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from model.teacher.look_ahead import LookAhead
from tests.model.fake_network import ask_for, draw_squares, fake_teacher

IMAGES = [np.full((1, 1, 3), number, np.uint8) for number in range(10)]


def test_the_next_batch_is_begun_and_no_more() -> None:
    begun: list[int] = []
    done = threading.Semaphore(0)

    def prepare(image: np.ndarray) -> int:
        begun.append(int(image[0, 0, 0]))
        done.release()
        return begun[-1]

    with LookAhead(prepare, torch.device("cpu")).over(IMAGES) as ahead:
        assert ahead.take(0, 3) == [0, 1, 2]
        for _ in range(6):
            assert done.acquire(timeout=120)
        assert begun == [0, 1, 2, 3, 4, 5]
        assert ahead.take(3, 5) == [3, 4]  # a batch that became smaller
        assert ahead.take(5, 10) == [5, 6, 7, 8, 9]
    assert sorted(begun) == list(range(10))  # each once


def test_an_image_that_cannot_be_prepared_is_said_when_it_is_its_turn() -> None:
    def prepare(image: np.ndarray) -> int:
        if image[0, 0, 0] == 4:
            raise ValueError("number four")
        return 0

    with LookAhead(prepare, torch.device("cpu")).over(IMAGES) as ahead:
        assert ahead.take(0, 4) == [0] * 4
        with pytest.raises(ValueError, match="number four"):
            ahead.take(4, 8)


def test_a_call_that_ends_early_leaves_nothing_behind() -> None:
    teacher, _ = fake_teacher(batch_size=1)
    requests = [ask_for(draw_squares(red=(8 * n, 0)), "red") for n in range(6)]
    asked = 0

    def stop_at_the_third() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise KeyboardInterrupt

    teacher.before_batch = stop_at_the_third
    with pytest.raises(KeyboardInterrupt):
        teacher.ground(requests)
    teacher.before_batch = lambda: None
    assert len(teacher.ground(requests)) == 6
