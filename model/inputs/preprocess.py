"""Images to the network's input: resize, BGR statistics, padded batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.config import GlipConfig

IMAGENET_MEAN_BGR = (103.530, 116.280, 123.675)
IMAGENET_STD_BGR = (57.375, 57.120, 58.395)


class ResizedImage(NamedTuple):
    """One image at the network's size, not yet normalised.

    pixels: uint8 RGB [h, w, 3].
    original_size: (width, height) before.
    """

    pixels: NDArray[np.uint8]
    original_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) now."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def ratios(self) -> tuple[float, float]:
        """Horizontal and vertical ratio new / old, exact, to multiply boxes with."""
        (width, height), (old_width, old_height) = self.size, self.original_size
        return width / old_width, height / old_height


class ImageBatch(NamedTuple):
    """Normalised images, zero-padded at the right and the bottom to one size.

    sizes_B2: int64 (height, width) of each image inside the padding.
    ratios_B2: float64 horizontal and vertical ratio network / original.
    """

    pixels_B3HW: Tensor
    sizes_B2: Tensor
    ratios_B2: Tensor


class PackedImages(NamedTuple):
    """A batch of images as bytes: a quarter of what the network takes, on their way to it.

    pixels_BHW3: uint8 RGB, each image at the top left.
    sizes: (height, width) of each.
    mean, std: of the channels in BGR order.
    """

    pixels_BHW3: Tensor
    sizes: tuple[tuple[int, int], ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def unpack(
        self, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Normalised BGR [B, 3, H, W]; padding is zero."""
        batch, height, width = self.pixels_BHW3.shape[:3]
        pixels = torch.zeros(batch, 3, height, width, device=device, dtype=dtype)
        mean = torch.tensor(self.mean, device=device)[:, None, None]
        std = torch.tensor(self.std, device=device)[:, None, None]
        bytes_BHW3 = self.pixels_BHW3.to(device, non_blocking=True)
        for number, (rows, columns) in enumerate(self.sizes):
            bgr = bytes_BHW3[number, :rows, :columns].flip(-1).permute(2, 0, 1).float()
            pixels[number, :, :rows, :columns] = (bgr - mean) / std
        return pixels


def resized_size(size: tuple[int, int], min_size: int, max_size: int) -> tuple[int, int]:
    """(width, height) by the reference's rule: short side `min_size`, long side about `max_size`.

    Where the long side would pass `max_size`, the short side is rounded down from there first
    (Python's rounding), so the long side may still pass by a little. A line so thin that its
    short side would round to nothing, where the reference fails, becomes one pixel by `max_size`.

    Raises:
        ValueError: a side is below 1.
    """
    width, height = size
    short, long = min(size), max(size)
    if short < 1:
        raise ValueError(f"an image must have at least 1 x 1 pixels, got {width} x {height}")
    target = min_size
    if long / short * target > max_size:
        target = round(max_size * short / long)
    if target == 0:
        return (1, max_size) if width < height else (max_size, 1)
    if short == target:
        return width, height
    if width < height:
        return target, int(target * height / width)
    return int(target * width / height), target


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessor:
    """The numbers of the pre-processing.

    min_size, max_size: pixels, for the short and the long side.
    mean, std: of the channels in BGR order, 0 to 255.
    divisor: batches are padded to a multiple of it.
    """

    min_size: int = 800
    max_size: int = 1333
    mean: tuple[float, float, float] = IMAGENET_MEAN_BGR
    std: tuple[float, float, float] = IMAGENET_STD_BGR
    divisor: int = 32

    @classmethod
    def of(cls, config: GlipConfig) -> Preprocessor:
        """The pre-processing of a network."""
        return cls(min_size=config.min_size, max_size=config.max_size, divisor=config.size_divisor)

    def fingerprint(self) -> Mapping[str, object]:
        """The numbers as JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    def resize(self, image: NDArray[np.uint8], *, min_size: int | None = None) -> ResizedImage:
        """Pillow's antialiased bilinear resize, uint8 to uint8.

        Args:
            image: uint8 RGB [height, width, 3].
            min_size: other than the usual (multi-scale training).

        Raises:
            ValueError: the array is something else, or empty.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"an image must be uint8 [height, width, 3], got {image.dtype} {list(image.shape)}"
            )
        original = (image.shape[1], image.shape[0])
        size = resized_size(original, min_size or self.min_size, self.max_size)
        if size == original:
            return ResizedImage(image, original)
        picture = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        return ResizedImage(np.asarray(picture), original)

    def padded_size(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """(width, height) of a batch of images of these sizes."""
        width, height = (max(side) for side in zip(*sizes, strict=True))
        step = self.divisor
        return -(-width // step) * step, -(-height // step) * step

    def pack(self, images: Sequence[ResizedImage]) -> PackedImages:
        """Pad, nothing else."""
        width, height = self.padded_size([image.size for image in images])
        pixels = torch.zeros(len(images), height, width, 3, dtype=torch.uint8)
        for number, image in enumerate(images):
            rows, columns = image.pixels.shape[:2]
            pixels.numpy()[number, :rows, :columns] = image.pixels
        sizes = tuple((image.size[1], image.size[0]) for image in images)
        return PackedImages(pixels, sizes, self.mean, self.std)

    def batch(
        self,
        images: Sequence[ResizedImage],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> ImageBatch:
        """Normalise and pad; pixels travel to the device as bytes."""
        pixels = self.pack(images).unpack(device=device, dtype=dtype)
        sizes = [(image.size[1], image.size[0]) for image in images]
        ratios = [image.ratios for image in images]
        return ImageBatch(
            pixels,
            torch.tensor(sizes, dtype=torch.int64),
            torch.tensor(ratios, dtype=torch.float64),
        )
