"""How the long-running review commands end."""

from __future__ import annotations

import signal


def interrupt_on_signals() -> None:
    """Make SIGINT and SIGTERM a KeyboardInterrupt.

    SIGINT too: a shell that starts a command by `&` lets it ignore Ctrl-C and `kill -INT`.
    """
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _interrupt)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
