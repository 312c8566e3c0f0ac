"""What holds for all tests: they draw the same numbers at every run, on every machine."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# A new example that fails is for who looks for it: `pytest --hypothesis-profile=search`.
# How long an example takes is the machine's affair.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("suite", derandomize=True, **_PATIENT)
settings.register_profile("search", **_PATIENT)
settings.load_profile("suite")

_constants_of_loaded_code = providers._get_local_constants


def _constants() -> providers.Constants:
    """With those of the code each edit, and what ran before, would make other examples."""
    return providers.Constants() if settings.default.derandomize else _constants_of_loaded_code()


providers._get_local_constants = _constants


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before the fixtures: weights of a network, say, are not what the tests before it left."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)  # a GPU has its own
