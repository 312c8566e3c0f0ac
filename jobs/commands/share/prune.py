"""Make a run without the bad images of another: what failed, what people called bad, what leaks.

The old run stays as it is. Decisions and layers come along; calibrations do not, they are about all
pairs of the old run.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import FileName, Run

if TYPE_CHECKING:
    from pipeline.imported.pruned import PruneSummary

EXAMPLES = ("glipforge prune runs/1 --out runs/1-pruned",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge prune`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL; it must be complete, and stays as it is."""
    out: Run
    """The run directory or URL to write."""
    keep_failed: bool = False
    """Keep the rows of images that are missing, corrupt or too large, and of bad captions."""
    without: FileName = ""
    """Leave out the pairs whose record ids stand in this file, one a line."""
    without_leaks: bool = False
    """Leave out the pairs that `glipforge leakage` found in a test set."""


def run(config: Config) -> int:
    """Write the run; 0 when it is complete."""
    from jobs.progress_bar import reading_bar
    from pipeline.export.chosen_pairs import read_pairs
    from pipeline.imported.pruned import PruneOptions, prune
    from pipeline.run.info import require_writable
    from pipeline.run.lock import run_lock
    from pipeline.run.open import open_run
    from pipeline.run.store import RunStore
    from pipeline.trust.leakage import leaking

    old, new = open_run(config.run), RunStore(config.out)
    options = PruneOptions(
        keep_failed=config.keep_failed,
        leaked=frozenset(leaking(old)) if config.without_leaks else frozenset(),
        without=read_pairs(config.without, option="without") if config.without else frozenset(),
    )
    require_writable(new)
    with run_lock(new, doing="written"), reading_bar("prune", old.num_records()) as progress:
        found = prune(old, new, options, progress=progress)
    _print(config, found)
    return 0


def _print(config: Config, found: PruneSummary) -> None:
    lines = [
        f"{found.kept:,} pairs kept, with {found.decisions:,} decisions"
        + (f" and the layers {', '.join(found.layers)}" if found.layers else ""),
        *(f"left out: {number:,} x {reason}" for reason, number in found.left_out.most_common()),
        f"written {config.out}",
        f"next: glipforge filter {quote(config.out)}",
    ]
    print("\n".join(lines))
