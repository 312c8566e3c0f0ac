from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.training_set.cache import ImageCache, build_cache, fit_within
from schemas.errors import DataError, RecordError
from schemas.records import Status


def images(uri: str) -> np.ndarray:
    if uri == "broken":
        raise DataError("broken cannot be decoded")
    if uri == "lost":
        raise RecordError(Status.IMAGE_MISSING, "lost is not there")
    height, width = map(int, uri.split("x"))
    return np.random.default_rng(height).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_small_images_come_back_bit_for_bit(tmp_path):
    cache = build_cache(tmp_path, ["10x20", "16x16", "10x20"], images, side=20)
    assert len(cache) == 2
    assert np.array_equal(cache("10x20", (20, 10)), images("10x20"))
    assert cache("16x16", (16, 16)).shape == (16, 16, 3)


def test_large_images_are_made_to_fit(tmp_path):
    cache = build_cache(tmp_path, ["40x100", "100x1"], images, side=20)
    assert cache("40x100", (100, 40)).shape == (8, 20, 3)
    assert cache("100x1", (1, 100)).shape == (20, 1, 3)
    assert fit_within(images("5x5"), 20).shape == (5, 5, 3)


def test_a_cache_is_found_again_and_another_is_not(tmp_path):
    first = build_cache(tmp_path, ["10x20"], images, side=20)
    again = build_cache(tmp_path, ["10x20"], lambda uri: 1 / 0, side=20)
    assert again.directory == first.directory
    other = build_cache(tmp_path, ["10x20"], images, side=10)
    assert other.directory != first.directory


def test_another_picture_in_the_place_of_one_is_read(tmp_path):
    first = build_cache(tmp_path, ["10x20"], images, side=40, version=lambda uri: "1")
    turned = build_cache(tmp_path, ["10x20"], lambda _: images("20x10"), side=40, version=str.upper)
    assert turned.directory != first.directory
    assert turned("10x20", (10, 20)).shape == (20, 10, 3)


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match="broken cannot be decoded"):
        build_cache(tmp_path, ["10x20", "broken"], images, side=20)
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_cannot_be_read_is_tried_again_each_time(tmp_path):
    uris = ["10x20", "lost", "16x16"]
    cache = build_cache(tmp_path, uris, images, side=20)
    assert np.array_equal(cache("16x16", (16, 16)), images("16x16"))
    with pytest.raises(RecordError, match="image_missing: lost is not there"):
        cache("lost", (40, 10))

    def mended(uri):
        return images("10x40" if uri == "lost" else "1x1")

    again = build_cache(tmp_path, uris, mended, side=20)
    assert np.array_equal(again("16x16", (16, 16)), images("16x16"))
    assert again("lost", (40, 10)).shape == (5, 20, 3)
    with pytest.raises(RecordError, match="40 x 10 pixels upright, .* with 10 x 40"):
        again("lost", (10, 40))


def test_a_picture_of_another_size_than_its_boxes_are_in_is_left_out(tmp_path):
    cache = build_cache(tmp_path, ["40x100"], images, side=20)
    assert cache("40x100", (100, 40)).shape == (8, 20, 3)
    for size in [(40, 100), (100, 41), (50, 20)]:
        with pytest.raises(RecordError, match="record_invalid: the picture has 100 x 40 pixels"):
            cache("40x100", size)


def test_an_unknown_image_and_another_version_are_refused(tmp_path):
    cache = build_cache(tmp_path, [], images, side=20)
    with pytest.raises(DataError, match="does not hold the image 'missing'"):
        cache("missing", (1, 1))
    (cache.directory / "index.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(DataError, match="has version 99; this glipforge reads version 2"):
        ImageCache(cache.directory, images)
