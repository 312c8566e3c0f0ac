"""SIGTERM as Ctrl-C: what `ray job stop`, a scheduler or a container's end sends ends cleanly."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """While in the block SIGTERM raises KeyboardInterrupt in the main thread.

    In another thread nothing changes: only the main thread may set handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
