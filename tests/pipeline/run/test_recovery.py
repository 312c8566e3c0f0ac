"""What is read after a kill: leftovers, damage, lost and foreign markers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline.run.store import RunStore
from schemas.errors import DataError
from schemas.plan import Plan
from tests.pipeline.run.steps import with_steps
from tests.pipeline.run.test_commits import commit, ids, planned, units


def test_a_leftover_writer_that_lost_changes_nothing(tmp_path: Path) -> None:
    """It had staged its files before the kill, and goes on when another attempt has committed."""
    place = str(tmp_path / "run")
    planned(place, 2)
    at_marker, go_on = threading.Event(), threading.Event()

    def pause(name: str) -> None:
        if name == "mark":
            at_marker.set()
            go_on.wait(120)

    late: list[bool] = []
    run_of_slow = with_steps(RunStore(place), pause)
    slow = threading.Thread(target=lambda: late.append(commit(run_of_slow).won))
    slow.start()
    assert at_marker.wait(120)
    run = RunStore(place)
    run.recover()  # must not clean what the slow one has staged
    assert commit(run).won
    go_on.set()
    slow.join()
    assert late == [False]
    commit(run, 1)
    assert run.finalize()
    assert len(ids(RunStore(place))) == 8


@pytest.mark.parametrize("damage", ["gone", "torn", "same size"])
def test_a_file_that_a_marker_names_is_missing_or_torn(damage: str, tmp_path: Path) -> None:
    run = planned(str(tmp_path / "run"))
    commit(run)
    run.finalize()
    path = tmp_path / "run" / "annotations" / "u0.parquet"
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-10] if damage == "torn" else data[:-8] + bytes(8))
    with pytest.raises(DataError, match="is missing or is not the file that was committed"):
        ids(RunStore(run.uri))
    again = RunStore(run.uri)
    assert again.recover(verify=damage == "same size").withdrawn == ("u0",)
    assert not again.is_complete()
    assert commit(again).won
    assert again.finalize()
    assert len(ids(again)) == 4


def test_a_lost_marker_is_a_unit_to_do(place: str) -> None:
    from pipeline.storage.files import remove

    run = planned(place)
    commit(run)
    remove(run.url("_commits", "u0.json"))
    again = RunStore(place)
    assert (ids(again), len(again.pending())) == ([], 1)
    assert commit(again).won
    assert len(ids(again)) == 4


def test_a_marker_of_another_plan_is_an_error(tmp_path: Path) -> None:
    run = planned(str(tmp_path / "one"))
    commit(run)
    other = RunStore(tmp_path / "two")
    other.write_plan(
        Plan(corpus="toy", corpus_format="jsonl", inputs=(), units=units(1), config={"a": 2})
    )
    (tmp_path / "two" / "_commits").mkdir(exist_ok=True)
    text = (tmp_path / "one" / "_commits" / "u0.json").read_text()
    (tmp_path / "two" / "_commits" / "u0.json").write_text(text)
    with pytest.raises(DataError, match="not of this run's plan .* it was copied here"):
        other.commits()
