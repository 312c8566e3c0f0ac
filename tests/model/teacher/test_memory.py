"""What a teacher does when memory runs out."""

from __future__ import annotations

import pytest

from schemas.errors import RecordError
from tests.model.fake_network import ask_for, draw_squares, fake_teacher, same_answer


def test_out_of_memory_halves_the_batch_and_goes_on() -> None:
    requests = [ask_for(draw_squares(red=(8 * n, 0)), "red") for n in range(7)]
    teacher, network = fake_teacher(max_batch=2, batch_size=7)
    answers = teacher.ground(requests)
    assert teacher.batch_size <= 2
    for answer, expected in zip(answers, fake_teacher()[0].ground(requests), strict=True):
        assert same_answer(answer, expected)
    teacher.ground(requests)
    assert max(batch[0] for batch in network.image_batches) <= 2


@pytest.mark.parametrize(("fits", "left"), [(3, 2), (4, 4), (7, 4), (1, 1)])
def test_a_batch_is_halved_no_further_than_it_must(fits: int, left: int) -> None:
    requests = [ask_for(draw_squares(red=(8 * n, 0)), "red") for n in range(8)]
    teacher, _ = fake_teacher(max_batch=fits, batch_size=8)
    assert len(teacher.ground(requests)) == 8
    assert teacher.batch_size == left


def test_out_of_memory_with_many_prompts_asks_fewer_at_once() -> None:
    teacher, network = fake_teacher(max_batch=3, batch_size=8)
    teacher.detect(draw_squares(), [f"kind {number}" for number in range(1000)])
    assert teacher.batch_size == 2
    assert max(network.predict_batches) == 2


def test_out_of_memory_with_one_image_is_said() -> None:
    with pytest.raises(RecordError, match="teacher_failed: out of memory with one image: CUDA"):
        fake_teacher(max_batch=0)[0].ground([ask_for(draw_squares(), "red")])
