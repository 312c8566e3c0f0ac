from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as run_lengths

from pipeline.gold import load_gold
from pipeline.gold.formats.coco_masks import BAD_MASK, read_mask
from pipeline.gold.gold_set import GoldCounts, Mask
from schemas.errors import DataError

SIZE = (12, 8)


def pixels(mask: Mask | None) -> np.ndarray:
    assert mask is not None
    found = run_lengths.decode({"size": [SIZE[1], SIZE[0]], "counts": mask.counts})
    assert int(found.sum()) == mask.area
    return np.asarray(found)


def test_polygons_are_what_pycocotools_says() -> None:
    polygons = [[1, 1, 6, 1, 6, 5, 1, 5], [8, 2, 20, 2, 20, 7.5, 8, 7.5]]
    parts = run_lengths.frPyObjects([[float(v) for v in one] for one in polygons], 8, 12)
    found = read_mask(polygons, SIZE, GoldCounts(), "")
    assert (pixels(found) == run_lengths.decode(run_lengths.merge(parts))).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("packed", [True, False])
def test_run_lengths_come_back(seed: int, packed: bool) -> None:
    drawn = np.random.default_rng(seed).random((8, 12)) < (0.5, 0.02, 0.98, 0, 1)[seed]
    whole = run_lengths.encode(np.asfortranarray(drawn.astype(np.uint8)))
    flat = drawn.flatten(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = [0] * int(flat[0]) + np.diff([0, *edges, flat.size]).tolist()
    counts = whole["counts"].decode() if packed else lengths
    found = read_mask({"size": [8, 12], "counts": counts}, SIZE, GoldCounts(), "")
    assert (pixels(found) == drawn).all()
    assert found is not None
    assert found.counts == whole["counts"].decode()


@pytest.mark.parametrize("extra", [{}, {"caption": "a cat"}])
def test_masks_that_grow_beyond_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]
) -> None:
    """A line over a wide image is some numbers here, and two runs for each column of it there."""
    monkeypatch.setattr("pipeline.storage.inflation.FREE_BYTES", 1 << 16)
    image = {"id": 1, "file_name": "a.jpg", "width": 50_000, "height": 50_000} | extra
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "tokens_positive": [[2, 5]]}
    box |= {"segmentation": [[0, 0, 50_000, 100, 0, 200]]}
    raw = {"images": [image], "categories": [{"id": 1, "name": "cat"}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(raw | {"annotations": [box | {"id": n} for n in range(1, 10)]}))
    with pytest.raises(
        DataError, match=r"a.json': segmentation unpacks to more than [0-9,]+ bytes"
    ):
        load_gold(str(path), masks=True)
    assert load_gold(str(path)).counts["boxes"] == 9


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_a_box_without_a_mask(nothing: Any) -> None:
    counts = GoldCounts()
    assert read_mask(nothing, SIZE, counts, "") is None
    assert not counts


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        7,
        [1, 2, 3, 4, 5, 6],  # a polygon without its list
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, 4, 5, "6"]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, 1e30]],
        [[0, 0, 8, 7] * 300_000],  # no memory holds what it is drawn with
        [[1, 2, 3, 4, 5, 6], None],
        {"counts": [96]},
        {"size": [12, 8], "counts": [96]},  # of another image
        {"size": [8, 12], "counts": [95]},
        {"size": [8, 12], "counts": [200, 96]},  # decoders would write beyond the image
        {"size": [8, 12], "counts": [-1, 97]},
        {"size": [8, 12], "counts": [96.0]},
        {"size": [8, 12], "counts": ""},
        {"size": [8, 12], "counts": "P"},  # goes on behind its end
        {"size": [8, 12], "counts": "\x7f\u00e9"},
        {"size": [8, 12]},
    ],
)
def test_what_is_no_mask_is_counted_and_the_box_stays(broken: Any) -> None:
    counts = GoldCounts()
    assert read_mask(broken, SIZE, counts, "a") is None
    assert counts == {f"clipped: {BAD_MASK}": 1}
