"""The reference's numbers, from a small copy of one fixture; the whole set runs by
`python -m tests.parity FIXTURE.npz ...`."""

from __future__ import annotations

import pytest
import torch

from model.config import get_preset
from tests.model.official_tables import GOLDEN
from tests.parity.fixture import Fixture
from tests.parity.forward import check_forward
from tests.parity.weights import recipe_model


@pytest.mark.slow
def test_glip_t_equals_the_reference_at_every_stage():
    fixture = Fixture.read(GOLDEN / "glip_t.ground_coffee.npz")
    check_forward(fixture, recipe_model(get_preset(fixture.preset)))
    assert len(fixture.lines) > 100
    assert [str(line) for line in fixture.lines if not line.passed] == []


def test_a_wrong_number_a_wrong_shape_and_nan_fail():
    fixture = Fixture.read(GOLDEN / "glip_t.ground_coffee.npz")
    shape = fixture.shape("fpn/P7")
    fixture.compare("fpn/P7", torch.zeros(shape), 1e-4)
    fixture.compare("fpn/P7", torch.full(shape, torch.nan), 1e-4)
    fixture.compare("fpn/P7", torch.zeros(1), 1e-4)
    assert [line.passed for line in fixture.lines] == [False] * 3
