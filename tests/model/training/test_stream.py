"""Batches from other processes; slices of the stream are tested with the loop."""

from __future__ import annotations

import os
import signal

import pytest

from model.training.stream import iter_steps
from model.training.workers import Workers
from schemas.errors import RetryableError
from tests.model.training.tiny import make_batch


def steps(batches, processes=1):
    return iter_steps(
        batches, range(8), batch_size=4, accumulate=1, workers=Workers(), num_processes=processes
    )


@pytest.mark.parametrize("at", [0, 12])
def test_a_killed_process_is_a_sentence_wherever_it_dies(at):
    """Early and late: before its first batch, and while batches that it made wait to be fetched."""

    def dies(positions):
        if positions[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return make_batch(positions)

    with pytest.raises(RetryableError, match=r"was lost .* --loader-processes"):
        list(steps(dies))


@pytest.mark.parametrize("error", [FileNotFoundError, ConnectionError, EOFError, ValueError])
def test_what_a_living_process_raises_stays_what_it_is(error):
    def raises(positions):
        raise error("a file of the data set")

    with pytest.raises(error, match="a file of the data set"):
        list(steps(raises))


def test_memory_that_ran_out_there_is_the_same_sentence():
    def raises(positions):
        raise RuntimeError("unable to write to file </torch_1>: No space left: shared memory")

    with pytest.raises(RetryableError, match="/dev/shm"):
        list(steps(raises))
