"""A run's lock that another driver takes once the first work is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from pipeline.run import lock
from pipeline.run.committed import CommittedUnits
from pipeline.run.lock_holder import taken_by
from pipeline.run.object_lock import LockLost

OTHER = {"host": "there", "pid": 9, "since": "now"}


def lose_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `run_lock` say so with the first look that finds a commit."""
    monkeypatch.setattr(lock, "run_lock", partial(_losing, lock.run_lock))


@contextmanager
def _losing(
    take: Callable[..., Any], run: CommittedUnits, *, doing: str = "labelled"
) -> Iterator[Callable[[], None]]:
    def require_held() -> None:
        run.forget_commits()
        if run.commits():
            raise LockLost(taken_by(run.uri, doing, OTHER))

    with take(run, doing=doing):
        yield require_held
