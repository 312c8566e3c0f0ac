"""How large units are where nobody says, and that a run keeps the size that it began with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.commands.label.label import Running, label
from jobs.labelling.unit_size import (
    MAX_UNITS,
    choose_units,
    likely_workers,
    size_of_run,
    size_of_units,
)
from model.teacher.speed import seconds_per_image
from pipeline.run.store import RunStore
from schemas.plan import Unit
from tests.jobs.fake_label import FakeSetup
from tests.pipeline.corpus.corpora import picture


def units(*records: int) -> tuple[Unit, ...]:
    return tuple(
        Unit(unit_id=f"u{n}", uri="x", kind="k", start=0, stop=1, num_records=count)
        for n, count in enumerate(records)
    )


@pytest.mark.parametrize(
    "records, by_time, workers, size",
    [
        ([96], 512, 2, 24),  # two units for each of two workers
        ([96], 12, 2, 12),  # a minute of a slow teacher is less
        ([5], 512, 2, 4),  # not a unit for each record
        ([512] * 4, 512, 2, 512),
        ([-1, 96], 512, 2, 512),  # only reading tells
        ([12] * (MAX_UNITS + 1), 12, 2, 13),  # a slow teacher on a large corpus
    ],
)
def test_sizes(records: list[int], by_time: int, workers: int, size: int) -> None:
    assert size_of_units(units(*records), by_time, workers) == size


def test_workers_before_ray_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert likely_workers("local", 0) == 1
    assert likely_workers("ray", 5) == 5
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert likely_workers("ray", 0) == 16


def test_a_slow_teacher_has_small_units() -> None:
    nano = seconds_per_image(None, on_gpu=False)
    assert nano < 0.1
    unknown = seconds_per_image("no/where/at all", on_gpu=False)
    assert unknown == pytest.approx(4.8)
    assert seconds_per_image("no/where/at all", on_gpu=True) == pytest.approx(0.048)
    assert seconds_per_image("no/where/at all", min_size=400, on_gpu=False) == pytest.approx(1.2)


def write_pictures(folder: Path, number: int) -> str:
    folder.mkdir()
    for n in range(number):
        (folder / f"{n:02d}.png").write_bytes(picture(n))
        (folder / f"{n:02d}.txt").write_text("a dog")
    return str(folder)


@dataclass(frozen=True, kw_only=True)
class SlowSetup(FakeSetup):
    def seconds_per_record(self) -> float:
        return 10.0


def test_a_run_keeps_its_size(tmp_path: Path) -> None:
    """Continued with other workers and another guess of the speed."""
    setup = FakeSetup(corpus=write_pictures(tmp_path / "toy", 24))
    out = str(tmp_path / "run")
    assert label(setup, out, 0, Running(runner="local")) == 0
    store = RunStore(out)
    assert size_of_run(store) == 12
    slow = SlowSetup(corpus=setup.corpus)
    corpus = slow.open_corpus()
    assert choose_units(corpus, slow, RunStore(tmp_path / "other"), workers=1)[1] == 6
    assert choose_units(corpus, slow, store, workers=9)[1] == 12
    assert choose_units(corpus, slow, store, workers=9, chosen=3)[1] == 3
    assert label(slow, out, 0, Running(runner="local")) == 0
    (tmp_path / "run" / "run.json").unlink()  # killed before it was written
    assert size_of_run(RunStore(out)) == max(unit.num_records for unit in store.plan().units)


def test_run_json_has_the_size(tmp_path: Path) -> None:
    setup = FakeSetup(corpus=write_pictures(tmp_path / "toy", 8))
    label(setup, str(tmp_path / "run"), 0, Running(runner="local"))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["records_per_unit"] == 4
