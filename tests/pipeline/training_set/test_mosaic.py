from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training_set.mosaic import captions_disagree, mosaic
from schemas.records import TrainingSample
from tests.pipeline.training_set.build import sample, texts


def drawn(one: TrainingSample, size: tuple[int, int]) -> tuple[TrainingSample, np.ndarray]:
    """A sample of another size whose boxes are red."""
    width, height = size
    scale = (width / one.width, height / one.height) * 2
    boxes = tuple(tuple(v * s for v, s in zip(box, scale, strict=True)) for box in one.boxes)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[int(y0) : int(y1), int(x0) : int(x1), 0] = 255
    return replace(one, width=width, height=height, boxes=boxes), pixels


@pytest.mark.parametrize("size", [(200, 100), (201, 99), (400, 400), (40, 300)])
def test_boxes_are_where_the_pixels_went(size):
    names = ("cat", "dog", "owl", "fox")
    sizes = [(200, 100), size, size, size]
    parts = [
        drawn(sample(f"a {name}", (f"a {name}",), name), own)
        for name, own in zip(names, sizes, strict=True)
    ]
    one, canvas = mosaic([p[0] for p in parts], [p[1] for p in parts])
    assert canvas.shape == (one.height, one.width, 3)
    assert texts(one.caption, one.spans) == [[f"a {n}"] for n in names]
    is_red = (canvas[..., 0] > 127) & (canvas[..., 1] < 64)
    for number, box in enumerate(one.boxes):
        corner = np.array([number // 2 * one.height // 2, number % 2 * one.width // 2])
        quarter = is_red[corner[0] :, corner[1] :][: one.height // 2, : one.width // 2]
        found = np.argwhere(quarter) + corner
        (top, left), (bottom, right) = found.min(0), found.max(0) + 1
        assert np.abs(np.array([left, top, right, bottom]) - box).max() <= 1.5


def test_every_caption_ends_before_the_next_and_an_empty_one_leaves_no_trace():
    captions = ("a cat", "", "a dog!", "an owl. ")
    parts = [sample(c, (), str(i)) for i, c in enumerate(captions)]
    one, _ = mosaic(parts, [np.zeros((100, 200, 3), dtype=np.uint8)] * 4)
    assert one.caption == "a cat. a dog! an owl. "
    assert one.sample_id == "0+1+2+3"


def test_a_name_is_absent_only_where_all_parts_say_so():
    parts = [sample("cat. emu. yak", ("cat",), str(i), absent=("emu", "yak")) for i in range(3)]
    parts.append(sample("cat. emu. yak", ("cat", "yak"), "3", absent=("emu",)))
    one, _ = mosaic(parts, [np.zeros((100, 200, 3), dtype=np.uint8)] * 4)
    assert [one.caption[a:b] for a, b in one.negative_spans] == ["emu"]


def test_captions_disagree_where_one_names_what_is_boxed_in_another():
    boxed, quiet = sample("a red cat", ("a red cat",)), sample("a dog near a cat", ("a dog",))
    assert captions_disagree([boxed, quiet])
    assert not captions_disagree([boxed, sample("a dog", ("a dog",))])
