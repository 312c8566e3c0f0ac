"""Files that appear together at their places: all of them when nothing failed, else none."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.storage.errors import os_sentence
from pipeline.storage.files import place_of
from pipeline.storage.store_place import StorePlace
from schemas.atomic import publish
from schemas.errors import ConfigError

STAGE = ".export-"
LOCK = ".lock"
"""In a staging folder, locked by its export for as long as that lives."""
MARK = ".glipforge-export.json"
"""In a folder that an export made; such a folder may be replaced as a whole."""


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
        ConfigError: nothing can be written there, or a folder is there that no export made.
    """
    place = place_of(out.rstrip("/") if is_folder else out)
    target = Path(place.path)
    folder_above = None if isinstance(place, StorePlace) else target.parent
    if is_folder and folder_above is not None:
        _check_folder(out, target, force=force)
    try:
        if folder_above is not None:
            os.makedirs(folder_above, exist_ok=True)
            _remove_leftovers(folder_above)
        stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=folder_above))
        lock = _locked(stage)
        stage.chmod(0o755)
    except OSError as error:
        raise ConfigError(f"out {out!r} cannot be written: {os_sentence(error)}") from error
    try:
        found = Publication(out, stage, is_folder=is_folder)
        yield found
        (stage / LOCK).unlink(missing_ok=True)
        files = [path for path in sorted(stage.rglob("*")) if path.is_file()]
        if isinstance(place, StorePlace):
            base = place.path if is_folder else os.path.dirname(place.path)
            for path in files:
                place.put(str(path), f"{base}/{path.relative_to(stage).as_posix()}")
            return
        if is_folder:
            (stage / MARK).write_text(json.dumps({"files": len(files)}) + "\n")
            _replace_folder(stage, target)
        else:
            for path in files:
                publish(path, target.parent / path.relative_to(stage))
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        lock.close()


def _locked(stage: Path) -> IO[bytes]:
    stream = (stage / LOCK).open("wb")
    with contextlib.suppress(OSError):  # a file system without locks: leftovers stay there
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return stream


def _remove_leftovers(folder: Path) -> None:
    """Remove staging folders whose exports were killed: nobody holds their locks."""
    for stage in folder.glob(f"{STAGE}*"):
        with contextlib.suppress(OSError), (stage / LOCK).open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(stage, ignore_errors=True)


def _check_folder(out: str, target: Path, *, force: bool) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() and not target.is_dir():
        raise ConfigError(f"out {out!r} is a file; this format writes a folder")
    if target.exists() and not (target / MARK).is_file():
        raise ConfigError(f"out {out!r} has files that no export wrote; give another folder")
    if target.exists() and not force:
        raise ConfigError(f"out {out!r} exists; give --force to replace it")


def _replace_folder(stage: Path, target: Path) -> None:
    old = stage.with_name(stage.name + ".old")
    if target.exists():
        os.replace(target, old)
    os.replace(stage, target)
    shutil.rmtree(old, ignore_errors=True)
