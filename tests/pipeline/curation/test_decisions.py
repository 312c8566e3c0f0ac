from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.curation.decisions import (
    append_decisions,
    decisions_id,
    latest_by_box,
    load_decisions,
    resolve_record,
)
from schemas.errors import DataError
from schemas.records import Decision, Verdict
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_annotation, make_decision


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


def test_the_latest_wins() -> None:
    rows = [decided(3, Verdict.KEEP), decided(1, Verdict.DROP), decided(2, Verdict.DROP)]
    assert latest_by_box(rows)[("toy/0", "toy/0#0")].decision_id == "d3"
    # at one time, the greater id wins
    tie = [decided(1, Verdict.KEEP, decision_id="b"), decided(1, Verdict.DROP, decision_id="a")]
    assert latest_by_box(tie)[("toy/0", "toy/0#0")].verdict == Verdict.KEEP


def test_an_added_box_stays_added_when_it_is_edited_or_confirmed() -> None:
    new = {"box_id": "toy/0#new"}
    add = decided(1, Verdict.ADD, xyxy=(1.0, 1.0, 5.0, 5.0), phrase_index=1, **new)
    move = decided(2, Verdict.EDIT, xyxy=(2.0, 2.0, 6.0, 6.0), **new)
    keep = decided(3, Verdict.KEEP, **new)
    moved = latest_by_box([add, move])[("toy/0", "toy/0#new")]
    assert (moved.verdict, moved.xyxy, moved.phrase_index) == (Verdict.ADD, (2, 2, 6, 6), 1)
    kept = latest_by_box([add, keep])[("toy/0", "toy/0#new")]
    assert (kept.verdict, kept.xyxy) == (Verdict.ADD, (1, 1, 5, 5))
    drop = decided(4, Verdict.DROP, **new)
    resolved = resolve_record(make_annotation(), [add, drop])
    assert (resolved.by_box, resolved.added) == ({}, ())


@pytest.mark.parametrize(
    "decision, message",
    [
        (
            decided(1, Verdict.KEEP, box_id="toy/0#7"),
            r"decision 'd1' about 'toy/0': box_id 'toy/0#7' is neither a candidate",
        ),
        (
            decided(1, Verdict.ADD, xyxy=(0.0, 0.0, 1.0, 1.0), phrase_index=0),
            r"add needs a new box_id, got 'toy/0#0'",
        ),
        (
            decided(1, Verdict.EDIT, phrase_index=2),
            r"phrase_index 2 is not one of the 2 phrases",
        ),
    ],
)
def test_what_does_not_exist_is_named(decision: Decision, message: str) -> None:
    with pytest.raises(DataError, match=message):
        resolve_record(make_annotation(), [decision])
