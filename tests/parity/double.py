"""Are differences of gradients rounding or arithmetic? The same network once more in float64.

    python -m tests.parity.double LOSS_FIXTURE.npz [...]

For each recorded gradient: how far ours in float32 is from the recorded one, how far each of them
is from ours in float64, and how far ours in float32 is from itself with the input moved by one
part in ten million, about the last bit of float32. The recorded numbers are float32 too. Where
they are as near to float64 as ours, the arithmetic is the same and the difference is rounding.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import get_preset
from model.network.glip import Glip
from tests.parity.fixture import Fixture
from tests.parity.losses import gradients_of, summed_loss
from tests.parity.weights import recipe_model

MOVED = 1e-7
SHOWN = 8


@contextmanager
def all_double() -> Iterator[None]:
    """The network asks for float32 in its delicate places; here it gets float64 there too."""
    kept_float, kept_dtype = Tensor.float, torch.float32
    Tensor.float = Tensor.double  # type: ignore[method-assign]
    torch.float32 = torch.float64  # type: ignore[misc]
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        Tensor.float = kept_float  # type: ignore[method-assign]
        torch.float32 = kept_dtype  # type: ignore[misc]
        torch.set_default_dtype(torch.float32)


def gradients(fixture: Fixture, *, double: bool = False, moved: float = 0.0) -> dict[str, NDArray]:
    """Recorded name -> gradient of the summed loss, float64 numbers."""
    model: Glip = recipe_model(get_preset(fixture.preset))
    pixels = fixture.tensor("input")
    pixels = pixels * (
        1 + moved * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    )
    if double:
        with all_double():
            summed_loss(fixture, model.double(), pixels.double()).backward()
    else:
        summed_loss(fixture, model, pixels).backward()
    return {
        name: gradient.numpy().astype(np.float64)
        for name, gradient in gradients_of(model).items()
        if gradient is not None
    }


def main(arguments: list[str]) -> int:
    """Print the gradients that differ most."""
    for path in map(Path, arguments):
        fixture = Fixture.read(path)
        ours, exact = gradients(fixture), gradients(fixture, double=True)
        moved = gradients(fixture, moved=MOVED)
        rows = []
        for name in ours:
            key = f"grad/{name}"
            if not fixture.has(key):
                continue
            whole = key in fixture.arrays
            pick = slice(None) if whole else fixture.arrays[f"{key}/idx"]
            theirs = fixture.arrays[key if whole else f"{key}/val"].reshape(-1).astype(np.float64)
            a, b, c = (found[name].reshape(-1)[pick] for found in (ours, exact, moved))
            scale = max(np.abs(b).max(), 1e-12)
            pairs = ((a, theirs), (a, b), (theirs, b), (c, a))
            rows.append((name, *(float(np.abs(x - y).max() / scale) for x, y in pairs)))
        print(f"== {path.name}: {len(rows)} gradients; largest difference over largest value")
        print(f"{'ours-recorded':>13} {'ours-f64':>9} {'recorded-f64':>12} {'moved':>9}  gradient")
        rows.sort(key=lambda row: -max(row[1:4]))
        for name, *errors in [*rows[:SHOWN], *(row for row in rows[SHOWN:] if ".p7." in row[0])]:
            print("{:13.1e} {:9.1e} {:12.1e} {:9.1e}".format(*errors) + f"  {name}")
        medians = [float(np.median([row[place] for row in rows])) for place in range(1, 5)]
        print("{:13.1e} {:9.1e} {:12.1e} {:9.1e}".format(*medians) + "  median")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
