"""Rows in, rows of every layer out, in order, whatever happens to an image or to the model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.layers import enrich_unit as module
from pipeline.layers.enrich_unit import enrich_unit
from pipeline.layers.perceptual_hash import DuplicateScorer, dhash
from schemas.errors import UnitError
from tests.pipeline.layers.runs import FakeScorer, draw, drawn_row

BOTH = ("clip", "clip_image")


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_every_box_and_every_pair_has_a_row_in_order(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    rows = [drawn_row(tmp_path, number) for number in range(20)]
    scorer = FakeScorer()
    found = enrich_unit(rows, [scorer], BOTH, pool=pool)
    assert found["clip"].table.column("box_id").to_pylist() == [
        box.box_id for row in rows for box in row.boxes
    ]
    assert found["clip_image"].table.column("record_id").to_pylist() == [r.record_id for r in rows]
    assert found["clip"].table.column("score").to_pylist()[:2] == [20 / 64, 24 / 64]
    assert scorer.images == 20, "each image once, for both layers"
    assert found["clip"].statuses == {"ok": 32}


def test_a_pair_without_boxes_is_not_decoded_for_boxes_alone(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    rows = [drawn_row(tmp_path, number) for number in range(5)]
    scorer = FakeScorer()
    found = enrich_unit(rows, [scorer], ("clip",), pool=pool)
    assert scorer.images == 4
    assert list(found) == ["clip"]


def test_no_rows_give_empty_tables(pool: ThreadPoolExecutor) -> None:
    found = enrich_unit([], [FakeScorer()], BOTH, pool=pool)
    assert [found[name].table.num_rows for name in BOTH] == [0, 0]


def test_images_that_are_gone_or_changed_are_rows_with_a_reason(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    rows = [drawn_row(tmp_path, number) for number in range(3)]
    Path(rows[0].image_uri).unlink()
    draw(Path(rows[1].image_uri), seed=99)
    table = enrich_unit(rows, [FakeScorer()], BOTH, pool=pool)["clip_image"].table.to_pylist()
    assert [row["status"] for row in table] == ["image_missing", "image_missing", "ok"]
    assert [row["score"] for row in table] == [None, None, 0.5]
    assert "is not the image any more that was labelled" in table[1]["detail"]


def test_a_pair_that_the_model_cannot_answer_fails_alone(
    tmp_path: Path,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "CALL_IMAGES", 4)
    rows = [drawn_row(tmp_path, number) for number in range(8)]
    bad = int(np.asarray(Image.open(rows[2].image_uri))[0, 0, 0])
    found = enrich_unit(rows, [FakeScorer(fails_on=[bad])], BOTH, pool=pool)
    statuses = found["clip_image"].table.column("status").to_pylist()
    assert statuses == ["ok", "ok", "teacher_failed", *["ok"] * 5]
    assert found["clip_image"].examples == {"teacher_failed": "toy/2: RuntimeError: no answer"}
    (said,) = [line for line in caplog.messages if "each pair is asked alone" in line]
    assert said.startswith("enrich: a batch of 4 pairs failed (RuntimeError: no answer)")


def test_a_model_that_fails_on_most_is_broken(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    rows = [drawn_row(tmp_path, number) for number in range(4)]
    with pytest.raises(UnitError, match="failed on 4 of 4 pairs, first with RuntimeError"):
        enrich_unit(rows, [FakeScorer(fails_on=range(256))], BOTH, pool=pool)


def test_large_images_are_not_decoded_all_at_once(tmp_path: Path) -> None:
    rows = [replace(drawn_row(tmp_path, n), width=10_000, height=3_000) for n in range(3)]
    assert [len(call) for call in module._calls(rows)] == [1, 1, 1]


def test_dhash_of_copies_is_near_and_of_others_far(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", seed=1)
    draw(tmp_path / "b.png", seed=2)
    image = Image.open(tmp_path / "a.png")
    image.resize((128, 96), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=60)

    def bits(name: str) -> int:
        return int(dhash(np.asarray(Image.open(tmp_path / name))), 16)

    assert (bits("a.png") ^ bits("a.jpg")).bit_count() <= 7
    assert (bits("a.png") ^ bits("b.png")).bit_count() > 20


def test_the_hash_of_pixels_does_not_depend_on_the_file(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    row = drawn_row(tmp_path, 1)
    other = tmp_path / "other.bmp"
    Image.open(row.image_uri).save(other)
    rows = [row, replace(row, record_id="b", image_uri=str(other), image_sha256="")]
    found = enrich_unit(rows, [DuplicateScorer()], ("duplicates",), pool=pool)
    one, two = found["duplicates"].table.to_pylist()
    assert one["pixels_sha256"] == two["pixels_sha256"]
    assert len(one["dhash"]) == 32
