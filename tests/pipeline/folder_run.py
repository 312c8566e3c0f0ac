"""A finished run in a folder, with annotations given as a list: what the later layers need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pipeline.run_store import RunStore
from schemas.fingerprint import fingerprint
from schemas.plan import CommittedFile, Plan, UnitCommit
from schemas.records import Annotation


class FolderRun:
    """The part of `RunStore` that reads annotations, over a list; layers are real files."""

    def __init__(self, folder: Path | str, rows: Sequence[Annotation]) -> None:
        self.folder = str(folder)
        self.rows = list(rows)
        self.complete = True

    def url(self, *parts: str) -> str:
        return "/".join((self.folder, *parts))

    def is_complete(self) -> bool:
        return self.complete

    def iter_annotations(self, statuses: Any = None) -> Iterator[Annotation]:
        return (row for row in self.rows if statuses is None or row.status in statuses)

    def plan(self) -> Plan:
        return Plan(corpus="toy", corpus_format="jsonl", inputs=(), units=(), config={})

    def commits(self) -> dict[str, UnitCommit]:
        digest = fingerprint([str(row) for row in self.rows])
        file = CommittedFile(path="a", num_rows=len(self.rows), size=0, sha256=digest)
        commit = UnitCommit(
            unit_id="u0",
            plan="p",
            rows_in=len(self.rows),
            rows_out=len(self.rows),
            status_counts={},
            num_boxes=sum(len(row.boxes) for row in self.rows),
            files=(file,),
            attempt="a",
            teacher_id="fake@0",
            seconds={},
            finished_at="",
        )
        return {"u0": commit}


def folder_run(folder: Path | str, rows: Sequence[Annotation]) -> RunStore:
    return cast("RunStore", FolderRun(folder, rows))
