"""Making and dropping a dataset in a child process, so that this one never imports FiftyOne.

FiftyOne takes seconds to import, 300 MB, and ties its process to one database for ever. Only the
schema, the views and the colours need it; samples are written and read without.
Run as `python -m pipeline.review.sync.dataset.dataset_process ACTION NAME INFO`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.review.child_process import module_root
from pipeline.review.home import ReviewHome, fiftyone_environment
from schemas.errors import ConfigError

TIMEOUT_S = 600.0


def make_dataset(home: ReviewHome, uri: str, name: str, info: Mapping[str, str]) -> None:
    """Make an empty review dataset.

    Args:
        home: the review home.
        uri: of the database.
        name: of the dataset.
        info: what the dataset remembers about itself.

    Raises:
        ConfigError: FiftyOne refused; its words are in the message.
    """
    _run(home, uri, "create", name, json.dumps(dict(info)))


def update_layout(home: ReviewHome, uri: str, name: str) -> None:
    """Give a dataset that an earlier version made the fields and views of this one.

    Raises:
        ConfigError: FiftyOne refused; its words are in the message.
    """
    _run(home, uri, "update", name, "{}")


def drop_dataset(home: ReviewHome, uri: str, name: str) -> None:
    """Delete a dataset with its samples and views.

    Raises:
        ConfigError: FiftyOne refused; its words are in the message.
    """
    _run(home, uri, "drop", name, "{}")


def assignment_views(home: ReviewHome, uri: str, name: str, reviewers: Sequence[str]) -> None:
    """Give each reviewer the saved view of what is assigned to them.

    Raises:
        ConfigError: FiftyOne refused; its words are in the message.
    """
    _run(home, uri, "assign", name, json.dumps(list(reviewers)))


def gold_views(
    home: ReviewHome,
    uri: str,
    name: str,
    boxes: Mapping[str, Sequence[tuple[str, Sequence[float]]]],
    *,
    iou: float,
) -> dict[str, int]:
    """Compare a dataset with gold boxes; see `gold_views.compare_with_gold`.

    Raises:
        ConfigError: FiftyOne refused; its words are in the message.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:  # too long for a command line
        json.dump({"gold": boxes, "iou": iou}, file)
        file.flush()
        said = _run(home, uri, "gold", name, json.dumps(file.name))
    counts: dict[str, int] = json.loads(said.splitlines()[-1])
    return counts


def _run(home: ReviewHome, uri: str, action: str, name: str, info: str) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, action, name, info],
            cwd=module_root(),
            env={**os.environ, **fiftyone_environment(home, uri)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"FiftyOne did not {action} dataset {name!r} within {TIMEOUT_S:g} s"
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit code {done.returncode}"
        raise ConfigError(f"FiftyOne cannot {action} dataset {name!r}: {said}")
    return done.stdout


def main(action: str, name: str, info: str) -> None:
    """The child's work."""
    import fiftyone as fo

    from pipeline.review.sync.dataset.assignment import save_assignment_views
    from pipeline.review.sync.dataset.dataset import create_dataset, lay_out
    from pipeline.review.sync.dataset.gold_views import compare_with_gold

    if action == "create":
        create_dataset(name, json.loads(info))
    elif action == "gold":
        options = json.loads(Path(json.loads(info)).read_text())
        counts = compare_with_gold(fo.load_dataset(name), options["gold"], iou=options["iou"])
        sys.stdout.write("\n" + json.dumps(counts) + "\n")
    elif action == "update":
        lay_out(fo.load_dataset(name))
    elif action == "assign":
        save_assignment_views(fo.load_dataset(name), json.loads(info))
    else:
        fo.delete_dataset(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
