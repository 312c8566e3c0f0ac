"""A unit is committed exactly once, whatever dies and whoever else tries. On a disk and on S3."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.run.commit_unit import commit_unit
from pipeline.run.store import PLAN, RunStore
from pipeline.storage.errors import StorageFull
from schemas.errors import ConfigError, FingerprintMismatch, UnitError
from schemas.plan import Plan, Unit
from schemas.records import Annotation, Status
from tests.faulty_store import BUCKET
from tests.pipeline.run.steps import STEPS_LOCAL, STEPS_S3, with_steps
from tests.schemas.builders import make_annotation

SIZE = 4


class Killed(BaseException):
    """What a kill is to a test."""


def units(count: int) -> tuple[Unit, ...]:
    return tuple(
        Unit(
            unit_id=f"u{n}",
            uri="toy",
            kind="rows",
            start=n * SIZE,
            stop=n * SIZE + SIZE,
            num_records=SIZE,
        )
        for n in range(count)
    )


def planned(place: str, count: int = 1) -> RunStore:
    run = RunStore(place)
    run.write_plan(
        Plan(corpus="toy", corpus_format="jsonl", inputs=(), units=units(count), config={"a": 1})
    )
    return run


def rows_of(number: int, *, bad: int = 1) -> list[Annotation]:
    rows = [
        make_annotation(record_id=f"toy/{number * SIZE + n}", boxes=(), status=Status.NO_BOXES)
        for n in range(SIZE - bad)
    ]
    failures = [
        make_annotation(
            record_id=f"toy/{number * SIZE + SIZE - bad + n}",
            boxes=(),
            phrases=(),
            status=Status.IMAGE_CORRUPT,
            detail="torn",
        )
        for n in range(bad)
    ]
    return rows + failures


def commit(run: RunStore, number: int = 0, **changes):
    rows = changes.pop("rows", rows_of(number))
    unit = run.plan().units[number]
    return commit_unit(
        run, unit, rows, rows_in=len(rows), teacher_id="fake@0", seconds={"total": 1.0}, **changes
    )


def ids(run: RunStore) -> list[str]:
    rows = [*run.iter_annotations(), *run.iter_quarantine()]
    return sorted(row.record_id for row in rows)


def test_nothing_is_there_before_the_marker(place: str) -> None:
    run = planned(place, 2)
    assert (ids(run), run.commits(), run.is_complete()) == ([], {}, False)
    assert not run.finalize()
    commit(run)
    assert ids(run) == [f"toy/{n}" for n in range(4)]
    assert [unit.unit_id for unit in run.pending()] == ["u1"]
    commit(run, 1)
    assert run.finalize()
    assert run.is_complete()
    assert len(ids(RunStore(place))) == 8


def test_the_first_commit_stands(place: str) -> None:
    run = planned(place)
    assert commit(run).won
    again = commit(run, rows=rows_of(0, bad=2))
    assert not again.won
    assert again.commit.status_counts == {"image_corrupt": 1, "no_boxes": 3}
    assert len(list(run.iter_quarantine())) == 1


def test_of_many_at_once_one_wins(place: str) -> None:
    run = planned(place)
    gate = threading.Barrier(6)

    def attempt(_: int) -> bool:
        gate.wait()
        return commit(RunStore(place)).won

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert len(ids(run)) == 4


@pytest.mark.parametrize("rows", [3, 5])
def test_rows_that_do_not_add_up_are_refused(rows: int, place: str) -> None:
    run = planned(place)
    with pytest.raises(UnitError, match=rf"4 records planned, {rows} read, {rows} rows made"):
        commit(run, rows=(rows_of(0) + rows_of(1))[:rows])
    assert run.commits() == {}


def killing_step(name: str) -> Callable[[str], None]:
    def step(now: str) -> None:
        if now == name:
            raise Killed(name)

    return step


@pytest.mark.parametrize("name", STEPS_LOCAL)
def test_a_kill_at_any_step_on_a_disk(name: str, tmp_path: Path) -> None:
    _kill_and_repeat(str(tmp_path / "run"), name)


@pytest.mark.usefixtures("s3_server")
@pytest.mark.parametrize("name", STEPS_S3)
def test_a_kill_at_any_step_on_s3(name: str, tmp_path: Path) -> None:
    _kill_and_repeat(f"s3://{BUCKET}/{tmp_path.name}", name)


def _kill_and_repeat(place: str, name: str) -> None:
    planned(place, 2)
    with pytest.raises(Killed):
        commit(with_steps(RunStore(place), killing_step(name)))
    run = RunStore(place)
    run.recover()
    for unit in run.pending():
        assert commit(run, int(unit.unit_id[1:])).won
    assert run.finalize()
    assert ids(run) == [f"toy/{n}" for n in range(8)]
    leftovers = Path(place) / "_staging"
    assert not (leftovers.is_dir() and any(leftovers.iterdir()))


def test_a_winner_that_died_before_it_published_is_published_at_the_end(tmp_path: Path) -> None:
    """Its unit was tried again by the same driver: no recovery came between."""
    run = planned(str(tmp_path / "run"))
    with pytest.raises(Killed):
        commit(with_steps(RunStore(run.uri), killing_step("publish")))
    assert not commit(run).won
    assert run.finalize()
    assert len(ids(RunStore(run.uri))) == 4
    assert not (tmp_path / "run" / "_staging").exists()


@pytest.mark.parametrize("name", ["stage annotations", "stage quarantine", "stage marker"])
def test_a_full_disk_is_said_and_keeps_nothing_half(name: str, tmp_path: Path) -> None:
    def full(step: str) -> None:
        if step == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = str(tmp_path / "run")
    run = with_steps(planned(place), full)
    with pytest.raises(StorageFull, match=r"out .*run.: nothing more .*the disk is full.*is safe"):
        commit(run)
    assert not run.commits()
    assert not list((tmp_path / "run" / "_staging").glob("*"))
    assert commit(RunStore(place)).won


def test_another_plan_is_refused_with_both_values(place: str) -> None:
    planned(place)
    with pytest.raises(FingerprintMismatch, match=r"a was 1, this run has 2"):
        RunStore(place).write_plan(
            Plan(corpus="toy", corpus_format="jsonl", inputs=(), units=units(1), config={"a": 2})
        )
    with pytest.raises(FingerprintMismatch, match=r"number of units was 1, this run has 2"):
        planned(place, 2)


def test_a_run_of_another_version_is_gone_on_with_by_that_version(tmp_path: Path) -> None:
    def plan(extractor: str, version: int) -> Plan:
        phrases = {"extractor": extractor, "extractor_version": version}
        config = {"phrases": phrases}
        return Plan(corpus="", corpus_format="jsonl", inputs=(), units=units(1), config=config)

    RunStore(tmp_path).write_plan(plan("chunks", 4))
    RunStore(tmp_path).write_plan(plan("chunks", 4))
    said = r"extractor_version was 4, this run has 5\. This version cuts .* that began the run, or"
    with pytest.raises(FingerprintMismatch, match=said):
        RunStore(tmp_path).write_plan(plan("chunks", 5))
    with pytest.raises(FingerprintMismatch, match=r"or the old settings"):
        RunStore(tmp_path).write_plan(plan("classes", 1))


def test_an_ensemble_that_was_fused_in_another_way_is_gone_on_with_by_its_version(
    tmp_path: Path,
) -> None:
    def plan(**fusion: object) -> Plan:
        config = {"teacher": {"fusion": {"iou": 0.5, **fusion}}}
        return Plan(corpus="", corpus_format="jsonl", inputs=(), units=units(1), config=config)

    RunStore(tmp_path).write_plan(plan())
    said = r"teacher.fusion.over was .*, this run has 'asked'\. This version fuses .* began the run"
    with pytest.raises(FingerprintMismatch, match=said):
        RunStore(tmp_path).write_plan(plan(over="asked"))


@pytest.mark.parametrize("unit_id", ["../x", "", "a/b", ".hidden", "x" * 300])
def test_unit_ids_that_are_no_file_names(unit_id: str, tmp_path: Path) -> None:
    unit = Unit(unit_id=unit_id, uri="", kind="rows", start=0, stop=1, num_records=1)
    with pytest.raises(ConfigError, match="unit_id .* must be letters, digits"):
        RunStore(tmp_path).write_plan(
            Plan(corpus="", corpus_format="jsonl", inputs=(), units=(unit,), config={})
        )


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"is not a labelling run: it has no {PLAN}"):
        RunStore(tmp_path).plan()
