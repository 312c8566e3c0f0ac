"""Bars of long work, on a terminal's stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs.safe_output import terminal_of

if TYPE_CHECKING:
    from rich.console import Console


def _console() -> Console:
    from rich.console import Console

    # Named: rich puts itself in the place of sys.stderr while a bar is up.
    return Console(file=terminal_of(sys.stderr))


@contextmanager
def reading_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's stderr; gives the function that takes how much is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=_console(), transient=True, disable=not sys.stderr.isatty()
    ) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


class LineBar:
    """A bar with a line of text behind it, cut at the terminal's width.

    Nothing runs beside the caller: the bar moves when it is told, and stays when it is ended.
    """

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.table import Column

        text = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = Progress(
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False, table_column=text),
            console=_console(),
            expand=True,
            auto_refresh=False,
            # What is printed into a file or a pipe must go there.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._progress.add_task("", total=None)

    def show(self, share: float | None, line: str) -> None:
        """Set the share that is done, in [0, 1] (None: not known yet), and the line."""
        total = None if share is None else 1.0
        self._progress.update(self._task, total=total, completed=share or 0.0, description=line)
        self._progress.start()
        self._progress.refresh()

    def end(self) -> None:
        """Leave the bar as it is, and give the terminal back."""
        self._progress.stop()
