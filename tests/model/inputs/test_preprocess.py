from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from model.inputs.preprocess import IMAGENET_MEAN_BGR, IMAGENET_STD_BGR, Preprocessor, resized_size
from tests.model.unit_tables import resize_table


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_sizes_equal_the_reference() -> None:
    for width, height, low, high, out_width, out_height in resize_table():
        assert resized_size((width, height), low, high) == (out_width, out_height)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 x 1 pixels, got 0 x 5"):
        resized_size((0, 5), 800, 1333)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((1, 20000), (1, 1333)),  # the reference would ask for a width of 0
        ((20000, 1), (1333, 1)),
        ((1, 1), (800, 800)),
        ((20000, 3000), (1333, 200)),
        ((31, 17), (1333, 731)),
    ],
)
def test_extreme_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_size(size, 800, 1333) == expected


def test_a_line_of_pixels_becomes_a_padded_batch() -> None:
    preprocessor = Preprocessor()
    line = preprocessor.resize(_noise(20000, 1))
    batch = preprocessor.batch([line])
    assert batch.pixels_B3HW.shape == (1, 3, 1344, 32)
    assert batch.sizes_B2.tolist() == [[1333, 1]]
    assert line.ratios == (1.0, 1333 / 20000)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 \[height, width, 3\], got"):
        Preprocessor().resize(image)


def test_pixels_are_bgr_normalised_and_padding_is_zero() -> None:
    preprocessor = Preprocessor(min_size=40, max_size=100)
    images = [preprocessor.resize(_noise(40, 50)), preprocessor.resize(_noise(80, 60))]
    assert [image.size for image in images] == [(50, 40), (40, 53)]
    batch = preprocessor.batch(images)
    assert batch.pixels_B3HW.shape == (2, 3, 64, 64)
    blue = (_noise(40, 50)[..., 2] - IMAGENET_MEAN_BGR[0]) / IMAGENET_STD_BGR[0]
    np.testing.assert_allclose(batch.pixels_B3HW[0, 0, :40, :50], blue, rtol=1e-5, atol=1e-5)
    assert not batch.pixels_B3HW[0, :, 40:].any()
    assert not batch.pixels_B3HW[0, :, :, 50:].any()
    assert batch.ratios_B2[1].tolist() == [40 / 60, 53 / 80]


def test_the_resize_is_pillows_antialiased_bilinear() -> None:
    image = _noise(300, 200)
    resized = Preprocessor(min_size=50).resize(image)
    expected = Image.fromarray(image).resize((50, 75), Image.Resampling.BILINEAR)
    assert (resized.pixels == np.asarray(expected)).all()


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = _noise(50, 70)
    assert Preprocessor(min_size=50).resize(image).pixels is image


def test_pixels_can_be_half_precision() -> None:
    preprocessor = Preprocessor(min_size=32)
    batch = preprocessor.batch([preprocessor.resize(_noise(32, 32))], dtype=torch.bfloat16)
    assert batch.pixels_B3HW.dtype == torch.bfloat16
