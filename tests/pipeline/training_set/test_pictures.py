from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training_set.pictures import LOOKED_AT, of_size, require_readable
from schemas.errors import DataError, RecordError
from schemas.records import Status
from tests.pipeline.training_set.build import sample

ONE = sample("a red cat", ("a red cat",), sample_id="s0")
GREY = np.zeros((ONE.height, ONE.width, 3), dtype=np.uint8)


def samples(number: int):
    return [replace(ONE, sample_id=f"s{i}", image_uri=f"{i}.png") for i in range(number)]


def broken(*numbers: int):
    def load(uri: str) -> np.ndarray:
        if int(uri.removesuffix(".png")) in numbers:
            raise RecordError(Status.IMAGE_MISSING, f"{uri} is not there")
        return GREY

    return of_size(load)


@pytest.mark.parametrize("size", [(1, 0), (0, 1), (1, 1)])
def test_a_picture_of_another_size_is_refused_with_both(size):
    load = of_size(lambda uri: GREY)
    height, width = GREY.shape[:2]
    assert load("a.png", (width, height)) is GREY
    with pytest.raises(
        RecordError, match=rf"{width} x {height} pixels upright, its boxes .*a\.png"
    ):
        load("a.png", (width + size[0], height + size[1]))


@pytest.mark.parametrize(
    "number, lost, limit", [(1, 1, 1.0), (4, 1, 0.01), (4, 4, 0.9), (9, 5, 0.5)]
)
def test_too_many_are_refused_before_the_first_step_however_small_the_set(number, lost, limit):
    with pytest.raises(
        DataError, match=rf"{lost} of {number} pictures .* s0: image_missing: 0.png"
    ):
        require_readable("gold", samples(number), broken(*range(lost)), limit)


def test_a_few_are_said():
    said = require_readable("gold", samples(200), broken(7), 0.01)
    assert said.startswith("source gold: 1 of 200 pictures that were looked at are left out: s7: ")
    assert require_readable("gold", samples(5), broken(), 0.0) == ""


def test_a_large_source_is_looked_at_in_part_and_judged_with_slack():
    many = samples(10 * LOOKED_AT)
    taken = range(0, 10 * LOOKED_AT, 10)
    few, most = set(taken[:4]), set(taken[:40])
    assert f"4 of {LOOKED_AT}" in require_readable("gold", many, broken(*few), 0.01)
    with pytest.raises(DataError, match=f"40 of {LOOKED_AT} pictures .*; .*; .*; "):
        require_readable("gold", many, broken(*most), 0.01)
