"""Images for a detector of transformers: its own image processor, one image at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schemas.errors import ConfigError

BACKEND = "torchvision"
"""Which of transformers' two image processors: they differ in the last digits of a pixel."""


class DetectorPixels:
    """Runs the image processor of a model directory, and knows sizes before it does.

    Each image is processed alone, so that its pixels do not depend on others.

    Args:
        processor: An image processor of transformers.
        min_size, max_size: Other sides than the processor's own; 0: its own.

    Raises:
        ConfigError: the processor has one fixed size, and another was asked for; or it does not
            make images of the size that it states, or no numbers.
    """

    def __init__(self, processor: Any, *, min_size: int = 0, max_size: int = 0) -> None:
        self._processor = processor
        size = {k: v for k, v in dict(processor.size or {}).items() if v is not None}
        self._fixed = (int(size["width"]), int(size["height"])) if size.get("height") else None
        if self._fixed and (min_size or max_size):
            raise ConfigError(
                f"min_size and max_size do nothing for this teacher: its input is "
                f"{self._fixed[0]} x {self._fixed[1]} pixels; leave them out, got {min_size} and "
                f"{max_size}"
            )
        short, long = size.get("shortest_edge"), size.get("longest_edge")
        if not self._fixed and not (short and long):
            raise ConfigError(
                "the image processor's size must have height and width, or shortest_edge and "
                f"longest_edge, got {size or None}"
            )
        self._edges = (min_size or int(short or 0), max_size or int(long or 0))
        self.is_square_padded = self._try()
        """Whether an image lies at the top left of a square, its padding below or beside it."""

    def _try(self) -> bool:
        """One white image: whether what comes out is as stated, before a run depends on it."""
        height, width = 16, 48
        columns, rows = self.size_key((width, height))
        try:
            pixels = self.read(np.full((height, width, 3), 255, np.uint8))
        except Exception as error:  # settings of others' files: anything may be wrong with them
            raise ConfigError(
                f"the image processor cannot be used: {type(error).__name__}: {error}"
            ) from error
        if tuple(pixels.shape) != (3, rows, columns):
            raise ConfigError(
                f"the image processor makes {list(pixels.shape)} of an image of {width} x {height} "
                f"pixels, where its size says {[3, rows, columns]}: do_resize must be true, and "
                "nothing may be cropped or padded to another size"
            )
        if not bool(pixels.isfinite().all()):
            raise ConfigError(
                "the image processor makes NaN or infinity of pixels: no image_std may be 0"
            )
        return not torch.allclose(pixels[:, 0, columns // 2], pixels[:, -1, columns // 2])

    def size_key(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """(width, height) that the network gets.

        Raises:
            ValueError: nothing would be left of a side.
        """
        width, height = size_wh
        if min(size_wh) < 1:
            raise ValueError(f"an image must have at least 1 x 1 pixels, got {width} x {height}")
        if self._fixed:
            return self._fixed
        from transformers.image_transforms import get_size_with_aspect_ratio

        rows, columns = get_size_with_aspect_ratio((height, width), *self._edges)
        if min(rows, columns) < 1:
            raise ValueError(
                f"an image of {width} x {height} pixels is a line of no width at this teacher's "
                f"input size of {self._edges[0]} to {self._edges[1]} pixels"
            )
        return int(columns), int(rows)

    def read(self, image: NDArray[np.uint8]) -> Tensor:
        """float32 [3, H, W] as the network wants it.

        Args:
            image: uint8 RGB [height, width, 3].
        """
        options: dict[str, Any] = {}
        if not self._fixed:
            options["size"] = {"shortest_edge": self._edges[0], "longest_edge": self._edges[1]}
            options["do_pad"] = False
        # Without the format an image of three rows would be taken for one of three channels.
        found = self._processor(
            images=torch.from_numpy(np.ascontiguousarray(image)),
            input_data_format="channels_last",
            return_tensors="pt",
            **options,
        )
        return found["pixel_values"][0]
