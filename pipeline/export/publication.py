"""Files that appear together at their places: all of them when nothing failed, else none."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.export.store_publication import (
    MARK,
    StorePublication,
    require_replaceable,
    written_meanwhile,
)
from pipeline.storage.files import place_of
from pipeline.storage.lock_file import alone_in
from pipeline.storage.store_place import StorePlace
from schemas.atomic import open_as_usual, private_folder, publish
from schemas.errors import ConfigError, os_sentence

STAGE = ".export-"
OLD = ".replaced-export-"
"""Goes before the name of a folder while another comes in its place."""
LOCK = ".lock"
"""In a staging folder, locked by its export for as long as that lives."""


class Publication:
    """A staging folder; `file` gives local paths in it.

    `out` is the file to write (others stand beside it, named by their first parts), or the folder.
    """

    def __init__(self, out: str, stage: Path, *, is_folder: bool) -> None:
        self.out = out
        self.is_folder = is_folder
        self.stage = stage
        self._names: list[str] = []

    def file(self, name: str) -> Path:
        """The local path to write a file at: below the folder, or beside `out`."""
        path = self.stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name not in self._names[-1:]:
            self._names.append(name)
        return path

    def url(self, name: str) -> str:
        """Where the file will be."""
        base = self.out if self.is_folder else self.out.rpartition("/")[0]
        return f"{base.rstrip('/')}/{name}" if base or self.out.startswith("/") else name

    def main_urls(self) -> list[str]:
        """Of a file export: every file; of a folder: the folder."""
        if self.is_folder:
            return [self.out]
        return [self.url(name) for name in dict.fromkeys(self._names)]


@contextmanager
def publication(out: str, *, is_folder: bool = False, force: bool = False) -> Iterator[Publication]:
    """Stage an export; on success its files appear, on failure nothing does.

    Raises:
        ConfigError: nothing can be written there, a folder is there that no export made, or
            another export wrote there meanwhile and `force` is not given, or is at work there.
        LockLost: this process stood still, and another export took the place in a store.
    """
    place = place_of(out.rstrip("/") if is_folder else out)
    if isinstance(place, StorePlace):
        store = StorePublication(place, out, is_folder=is_folder, force=force)
        with (
            store.held(),
            _staged(out, Path(tempfile.gettempdir()), is_folder=is_folder) as found,
        ):
            yield found
            store.send(found.stage, _files_of(found.stage))
        return
    target = Path(place.path)
    if is_folder:
        _check_folder(out, target, force=force)
    with _staged(out, target.parent, is_folder=is_folder) as found:
        yield found
        stage, files = found.stage, _files_of(found.stage)
        with alone_in(target.parent):
            if is_folder:
                _check_folder(out, target, force=force)
                open_as_usual(stage)
                (stage / MARK).write_text(json.dumps({"files": len(files)}) + "\n")
                _replace_folder(stage, target)
                return
            finals = [target.parent / path.relative_to(stage) for path in files]
            if not force:
                _refuse_newer(finals, stage / LOCK)
            with _all_or_none(finals):
                for path, final in zip(files, finals, strict=True):
                    publish(path, final)


@contextmanager
def _all_or_none(places: Sequence[Path]) -> Iterator[None]:
    """Where the disk refuses in the midst, what is new goes: the same command goes on then."""
    new = [place for place in places if not place.exists()]
    try:
        yield
    except OSError:
        for place in new:
            with contextlib.suppress(OSError):
                place.unlink(missing_ok=True)
        raise


@contextmanager
def _staged(out: str, folder: Path, *, is_folder: bool) -> Iterator[Publication]:
    """A new staging folder in `folder`; those of killed exports go."""
    try:
        os.makedirs(folder, exist_ok=True)
        with alone_in(folder):
            _remove_leftovers(folder)
            stage = private_folder(folder, STAGE)
            try:
                lock = _locked(stage)  # before another export looks for leftovers
            except OSError:
                shutil.rmtree(stage, ignore_errors=True)
                raise
    except OSError as error:
        raise ConfigError(f"out {out!r} cannot be written: {os_sentence(error)}") from error
    try:
        yield Publication(out, stage, is_folder=is_folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        lock.close()


def _files_of(stage: Path) -> list[Path]:
    return [path for path in sorted(stage.rglob("*")) if path.is_file() and path != stage / LOCK]


def _locked(stage: Path) -> IO[bytes]:
    stream = (stage / LOCK).open("wb")
    with contextlib.suppress(OSError):  # a file system without locks: leftovers stay there
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return stream


def _remove_leftovers(folder: Path) -> None:
    """What killed exports left: nobody holds the locks of their staging folders, and a folder that
    was to be replaced is put back where nothing came in its place."""
    for stage in folder.glob(f"{STAGE}*"):
        with contextlib.suppress(OSError):
            stage.rmdir()  # one that was killed before it had its lock; others are not empty
        with contextlib.suppress(OSError), (stage / LOCK).open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(stage, ignore_errors=True)
    for old in folder.glob(f"{OLD}*"):
        place = folder / old.name.removeprefix(OLD)
        with contextlib.suppress(PermissionError):  # somebody else's, in a folder of all
            if place.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(old, place)
            (place / LOCK).unlink(missing_ok=True)


def _check_folder(out: str, target: Path, *, force: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"out {out!r} is a file; this format writes a folder")
    require_replaceable(out, os.listdir(target), force=force)


def _refuse_newer(places: Sequence[Path], begin: Path) -> None:
    """Refuse to mix with an export that ended after the file `begin` was made."""
    for place in places:
        with contextlib.suppress(FileNotFoundError):
            if place.stat().st_ctime_ns > begin.stat().st_ctime_ns:
                raise ConfigError(written_meanwhile(f"out {str(place)!r}"))


def _replace_folder(stage: Path, target: Path) -> None:
    old = target.with_name(OLD + target.name)
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(stage, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    (target / LOCK).unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)
