"""A labelled run in a folder, from rows that a test gives: what the later layers read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.run.commit_protocol import encode_rows
from pipeline.run.store import PLAN, RunStore
from schemas.plan import Plan, Unit, UnitCommit
from schemas.records import Annotation


def folder_run(
    folder: Path | str, rows: Sequence[Annotation], *, more_units: Sequence[int] = ()
) -> RunStore:
    """A run with the rows committed as one unit, or the run that is there already.

    `more_units` are the sizes of further units that are planned and not done; `commit_rows`
    does them. Without any the run is complete.
    """
    run = RunStore(str(folder))
    if run.has(PLAN):
        return run
    sizes = [len(rows), *more_units]
    units = [
        Unit(unit_id=f"u{n}", uri="toy", kind="rows", start=n, stop=n + 1, num_records=size)
        for n, size in enumerate(sizes)
    ]
    run.write_plan(
        Plan(corpus="toy", corpus_format="jsonl", inputs=(), units=tuple(units), config={})
    )
    commit_rows(run, 0, rows)
    return run


def commit_rows(run: RunStore, number: int, rows: Sequence[Annotation]) -> None:
    """Commit a planned unit; the last one completes the run."""
    content = encode_rows("annotations", rows)
    unit_id = f"u{number}"
    path = run.committer.path_of(content, unit_id, "a")
    commit = UnitCommit(
        unit_id=unit_id,
        plan=run.plan_id(),
        rows_in=len(rows),
        rows_out=len(rows),
        status_counts=dict(Counter(str(row.status) for row in rows)),
        num_boxes=sum(len(row.boxes) for row in rows),
        files=(content.committed_as(path),),
        attempt="a",
        teacher_id="fake@0",
        seconds={"teacher": 1.0},
        finished_at="2026-01-01T00:00:00+00:00",
    )
    assert run.committer.commit(commit, [content])
    run.finalize()
