"""The steps of a commit, to die in: each is told by name before it is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.run.commit_local import LocalCommitter
from pipeline.run.commit_protocol import folder_of
from pipeline.run.committed import CommittedUnits

STEPS_LOCAL = (
    "stage annotations",
    "stage quarantine",
    "stage marker",
    "mark",
    "publish",
    "unstage",
)
STEPS_S3 = ("stage annotations", "stage quarantine", "mark")
Step = Callable[[str], object]
Units = TypeVar("Units", bound=CommittedUnits)


def with_steps(run: Units, step: Step) -> Units:
    """The same run or layer, whose committer tells its steps."""
    tell_steps(run.committer, step)
    return run


def tell_steps(of: object, step: Step) -> None:
    """Let a committer tell its steps."""
    if not isinstance(of, LocalCommitter):
        _around(of, "_put", before=lambda path, data: step(f"stage {folder_of(path)}"))
        _around(of, "_mark", before=lambda commit: step("mark"))
        return
    _around(of, "_stage", before=lambda path, data: step(f"stage {_staged(path)}"))
    _around(of, "_link_marker", before=lambda path, unit_id: step("mark"))
    _around(
        of,
        "_publish",
        before=lambda commit: step("publish"),
        after=lambda commit: step("unstage"),
    )


def _staged(path: Path) -> str:
    return "marker" if path.suffix == ".json" else path.stem.rpartition(".")[2]


def _around(
    committer: object,
    name: str,
    *,
    before: Callable[..., object],
    after: Callable[..., object] = lambda *args: None,
) -> None:
    method = getattr(committer, name)

    def told(*args: object) -> object:
        before(*args)
        result = method(*args)
        after(*args)
        return result

    setattr(committer, name, told)
