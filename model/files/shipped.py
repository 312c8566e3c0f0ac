"""The weights that come with the package: glip-nano, which every command knows as `shipped`."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import MissingDependency

SHIPPED = "shipped"
SHIPPED_NANO = Path(__file__).parents[1] / "weights" / "nano"


def shipped_nano() -> Path:
    """The directory of the glip-nano that comes with the package.

    Raises:
        MissingDependency: this installation has none.
    """
    if not (SHIPPED_NANO / "config.json").is_file():
        raise MissingDependency(
            "this installation has no shipped glip-nano (model/weights/nano); reinstall the "
            "package, train one with `glipforge pretrain --preset glip-nano`, or give --teacher a "
            "model directory"
        )
    return SHIPPED_NANO
