from __future__ import annotations

import json

import pytest

from model.training.loop import Trainer
from model.training.unreadable import UnreadableImages
from schemas.errors import ConfigError, DataError
from tests.model.training.test_loop import OPTIONS, trainer, weights
from tests.model.training.tiny import make_batch


def test_each_one_is_named_once(tmp_path):
    seen = UnreadableImages(tmp_path, 0.01)
    seen.add(4, [])
    assert not (tmp_path / "unreadable.jsonl").exists()
    for _ in range(2):
        seen.add(4, [("s1", "gone"), ("s2", "torn")])
    lines = [json.loads(line) for line in (tmp_path / "unreadable.jsonl").open()]
    assert [line["sample_id"] for line in lines] == ["s1", "s2"]
    assert lines[1]["reason"] == "torn"


@pytest.mark.parametrize("images", [0, 10_000])
def test_too_many_stop_the_run(tmp_path, images):
    seen = UnreadableImages(tmp_path, 0.01)
    seen.add(images, [])
    allowed = max(images, 1000) // 100
    seen.add(allowed, [(f"s{i}", "gone") for i in range(allowed)])
    with pytest.raises(DataError, match=r"max_unreadable 0.01 allows; the last was 'last': gone"):
        seen.add(3, [("a", "gone"), ("b", "gone"), ("last", "gone")])


def with_holes(positions):
    batch = make_batch(positions)
    failures = tuple((f"p{p}", "gone") for p in positions if p % 5 == 0)
    return batch._replace(failures=failures)


def test_a_run_goes_on_and_names_them(tmp_path):
    found: Trainer = trainer(tmp_path, batches=with_holes)
    assert found.run().steps == 12
    lines = (tmp_path / "unreadable.jsonl").read_text().splitlines()
    assert len(lines) == 10
    assert all(weight.isfinite().all() for weight in weights(found))


def test_a_share_is_one():
    with pytest.raises(ConfigError, match=r"max_unreadable must be in \[0, 1\], got 2"):
        type(OPTIONS)(steps=1, max_unreadable=2)
