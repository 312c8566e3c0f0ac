"""A disk that refuses at the n-th moment of a command, for each n: a sentence, and it goes on."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main as glipforge
from tests.jobs.toy_run import toy_rows, write_gold
from tests.pipeline.folder_run import folder_run

ERRORS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE, errno.ENAMETOOLONG)
CALLS = ("replace", "link", "fsync", "mkdir", "open")
COMMANDS = {
    "enrich": ["enrich", "RUN", "--with", "duplicates", "--runner", "local"],
    "export": ["export", "RUN", "--format", "goldg", "--out", "HERE/e/x.json"],
    "filter": ["filter", "RUN"],
    "prune": ["prune", "RUN", "--out", "HERE/pruned"],
    "report": ["report", "RUN", "--out", "HERE/r.html"],
    "import": ["import", "HERE/gold.json", "--image-root", "HERE", "--out", "HERE/imported"],
}
EVERY = {"enrich": 1, "export": 1}
"""Of the others every fourth moment is tried: what they share was tried already."""


class Disk:
    """Below a folder, the n-th call that makes or changes a file fails."""

    def __init__(self, folder: Path, moment: int) -> None:
        self.folder = str(folder)
        self.moment = moment
        self.calls = 0

    def touch(self, path: object) -> None:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        if os.fspath(path).startswith(self.folder):  # type: ignore[call-overload]
            self.calls += 1
            if self.calls == self.moment:
                number = ERRORS[self.moment % len(ERRORS)]
                raise OSError(number, os.strerror(number), path)

    def guard(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            if name != "open" or args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.touch(args[0])
            return call(*args, **options)

        return guarded

    @contextmanager
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        real_open = io.open

        def guarded_open(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if not isinstance(file, int) and set(mode) & set("wax+"):
                self.touch(file)
            return real_open(file, mode, *args, **options)

        with monkeypatch.context() as broken:
            for name in CALLS:
                broken.setattr(os, name, self.guard(name, getattr(os, name)))
            broken.setattr(builtins, "open", guarded_open)
            broken.setattr(io, "open", guarded_open)
            yield


@pytest.mark.parametrize("name", COMMANDS)
def test_a_refusal_at_any_moment_is_said_and_overcome(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = tmp_path / "first"
    folder_run(first / "run", toy_rows(first))
    write_gold(first)
    here = tmp_path / "here"
    words = [w.replace("RUN", f"{here}/run").replace("HERE", str(here)) for w in COMMANDS[name]]
    for moment in range(1, 200, EVERY.get(name, 4)):
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(first, here)
        disk = Disk(here, moment)
        with disk.failing(monkeypatch):
            code = glipforge(words)
        said = "".join(capsys.readouterr())
        if disk.calls < moment:
            break
        assert code in (0, 1, 2)
        assert "Traceback" not in said
        assert "[Errno" not in said
        again = glipforge(words) if code else 0  # done in spite of it: nothing is to be done again
        assert again == 0, (moment, said, capsys.readouterr().err)
        assert not list(here.rglob(".export-*"))
    assert 15 < moment < 100
