"""Files that are whole or not there, also after a kill or a power cut. The one way to write them.

Write beside the target, sync, rename over it, sync the folder. What a killed writer leaves has a
name that begins with a dot and ends with the writer's process id.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, or replace it; its folder is made."""
    with replacing(path) as stream:
        stream.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content is at `path` after the block; nothing changes where that raises."""
    with beside(path) as staged:
        with staged.open("w+b") as stream:
            yield stream
        publish(staged, path)


def private_folder(place: Path, prefix: str) -> Path:
    """A new folder in `place` that only its owner may read, until `open_as_usual`."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=place))


def open_as_usual(folder: Path) -> None:
    """Give a private folder the mode that a new one has: what the user's umask allows."""
    usual = folder / f".{uuid.uuid4().hex}"
    usual.mkdir()
    mode = usual.stat().st_mode
    usual.rmdir()
    folder.chmod(mode)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name of one's own in the folder of `path`, which is made; no file has it afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.{os.getpid()}")
    try:
        yield staged
    finally:
        with suppress(OSError):  # a leftover fails no work, and hides no error
            staged.unlink()


def publish(staged: Path, path: Path) -> None:
    """Give a written file its name, in place of an older one."""
    with staged.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(staged, path)
    sync_folder(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that nobody looks for yet, and sync it; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make names that came into or left a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
