"""Exporting the pairs of a view: the commands of the command line, in a process of their own.

They write below the run alone, under a name without a path: a page cannot choose a file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.review.child_process import last_line, module_root, run_to_end
from pipeline.review.home import dataset_slug
from pipeline.review.sync.store.label_store import WriteRefused
from pipeline.run.store import RunStore

FOLDER = "exports"
TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Exported:
    """A view on the disk."""

    path: str
    said: str
    """What the export printed."""


def export_pairs(dataset: str, run_uri: str, name: str, records: Iterable[str]) -> Exported:
    """Pull what people decided, then write RUN/exports/NAME.json with these pairs.

    Args:
        dataset: its name in the App.
        run_uri: the run that it shows.
        name: letters, digits and dashes stay of it.
        records: record ids.

    Raises:
        WriteRefused: the name is empty, there is no pair, or a command failed; with its words.
    """
    slug = dataset_slug(str(name))
    if not slug:
        raise WriteRefused(f"the export needs a name with a letter or digit, got {name!r}")
    chosen = sorted(set(map(str, records)))
    if not chosen:
        raise WriteRefused("this view has no pair to export")
    run = RunStore(run_uri)
    out = run.writable(FOLDER, f"{slug}.json")
    pairs = run.write(("\n".join(chosen) + "\n").encode(), FOLDER, f"{slug}.pairs.txt")
    _glipforge("review", "pull", run_uri, "--dataset", dataset)
    said = _glipforge("export", run_uri, "--pairs", pairs, "--out", out, "--force")
    return Exported(out, said)


def _glipforge(*words: str) -> str:
    try:
        done = run_to_end(
            [sys.executable, "-m", "jobs", *words], timeout_s=TIMEOUT_S, folder=module_root()
        )
    except subprocess.TimeoutExpired as error:
        raise WriteRefused(f"glipforge {words[0]} did not end within {TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        raise WriteRefused(f"glipforge {words[0]} failed: {last_line(done.stderr)}")
    return done.stdout.strip()
