from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.curation.decisions import (
    append_decisions,
    decisions_id,
    load_decisions,
)
from schemas.errors import DataError
from schemas.records import Decision, Verdict
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_decision


def decided(number: int, verdict: Verdict, **changes: Any) -> Decision:
    fields = {
        "decision_id": f"d{number}",
        "verdict": verdict,
        "xyxy": None,
        "phrase_index": None,
        "decided_at": f"2026-01-01T00:00:00.{number:06d}Z",
    }
    return make_decision(**(fields | changes))


def test_nothing_decided(tmp_path: Path) -> None:
    run = folder_run(tmp_path, [])
    assert append_decisions(run, []) is None
    assert load_decisions(run) == []
    assert decisions_id([]) == ""


def test_files_are_only_ever_added(tmp_path: Path) -> None:
    run = folder_run(tmp_path, [])
    late, early = decided(2, Verdict.DROP), decided(1, Verdict.KEEP)
    first = append_decisions(run, [late])
    assert append_decisions(run, [late]) == first  # the same rows again: the same file
    second = append_decisions(run, [early])
    assert load_decisions(run) == [early, late]  # by time, not by file
    assert sorted(path.name for path in (tmp_path / "decisions").iterdir()) == sorted(
        [str(first), str(second)]
    )


def test_a_decision_in_two_files_counts_once_unless_it_differs(tmp_path: Path) -> None:
    run = folder_run(tmp_path, [])
    append_decisions(run, [decided(1, Verdict.KEEP)])
    append_decisions(run, [decided(1, Verdict.KEEP), decided(2, Verdict.DROP)])
    assert len(load_decisions(run)) == 2
    append_decisions(run, [decided(1, Verdict.DROP)])
    with pytest.raises(DataError, match=r"decision 'd1' stands in two files with different"):
        load_decisions(run)


@pytest.mark.parametrize("time", ["", "yesterday", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00"])
def test_times_that_do_not_sort_are_refused(tmp_path: Path, time: str) -> None:
    row = decided(1, Verdict.KEEP, decided_at=time)
    with pytest.raises(DataError, match=r"decision 'd1': decided_at must be UTC like 2026"):
        append_decisions(folder_run(tmp_path, []), [row])


def test_the_id_depends_on_the_decisions_alone() -> None:
    one, two = decided(1, Verdict.KEEP), decided(2, Verdict.DROP)
    assert decisions_id([one, two]) == decisions_id([two, one])
    assert decisions_id([one]) != decisions_id([one, two])
