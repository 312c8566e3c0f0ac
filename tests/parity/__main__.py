"""Run our model against recorded fixtures: a line for each tensor, exit 1 past a limit.

Usage: python -m tests.parity [-q] FIXTURE.npz [...]     -q: only failures and the summary
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from model.config import get_preset
from tests.parity.fixture import Fixture
from tests.parity.forward import check_forward
from tests.parity.losses import check_losses
from tests.parity.weights import recipe_model


def main(arguments: list[str]) -> int:
    """0 if every tensor of every fixture is within its limit."""
    quiet = "-q" in arguments
    paths = [Path(argument) for argument in arguments if argument != "-q"]
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    failed = False
    for path in paths:
        fixture = Fixture.read(path)
        started = time.perf_counter()
        model = recipe_model(get_preset(fixture.preset))
        if "loss/names" in fixture.arrays:
            check_losses(fixture, model)
        else:
            check_forward(fixture, model)
        print(f"== {path.name}: {fixture.preset}, {time.perf_counter() - started:.1f} s")
        for line in fixture.lines:
            if not (quiet and line.passed):
                print(line)
        bad = sum(not line.passed for line in fixture.lines)
        worst = max((line.error for line in fixture.lines if line.limit == 1e-4), default=0.0)
        print(f"-- {len(fixture.lines)} lines, {bad} failed, worst forward error {worst:.2e}")
        failed |= bad > 0 or not fixture.lines
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
