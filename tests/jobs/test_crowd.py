"""Filters, exports, reports, readers and reviewers at once on one run: each sees a whole state."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.curation.curate import curate_run, ensure_curated, iter_curated, read_curate_stats
from pipeline.curation.decisions import append_decisions
from pipeline.curation.rules.presets import get_policy
from pipeline.run.map_units import map_run
from pipeline.run.store import RunStore
from pipeline.storage.folders import list_folders
from schemas.errors import GlipforgeError
from tests.jobs.toy_run import toy_rows
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.schemas.builders import make_decision

SECONDS = 2.0


def run_of_units(folder: Path) -> RunStore:
    """A run of three units of one pair: a curation is several files."""
    rows = toy_rows(folder)
    run = folder_run(folder / "run", rows[:1], more_units=[1, 1])
    for number, row in enumerate(rows[1:], start=1):
        commit_rows(run, number, [row])
    return run


def crowd(commands: list[list[str]]) -> dict[str, dict[str, Any]]:
    """What each command line said, by its words; no two are the same."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.jobs.crowd", str(SECONDS), json.dumps(commands)],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert found.returncode == 0, found.stderr
    return {" ".join(told["words"]): told for told in json.loads(found.stdout)}


def test_a_crowd_on_one_run(tmp_path: Path) -> None:
    run = run_of_units(tmp_path)
    curate_run(run, get_policy("default"))  # readers find one
    uri, out = run.uri, str(tmp_path / "out")
    force = "--force"
    told = crowd(
        [
            ["decide", uri],
            ["filter", uri],
            ["filter", uri, "--workers", "1"],
            ["filter", uri, "--policy", "grit"],
            ["read", uri],
            ["export", uri, "--format", "coco", "--out", f"{out}/x.json", force],
            ["export", uri, "--format", "coco", "--out", f"{out}/x.json", "--split=0.5,0.5", force],
            ["export", uri, "--format", "yolo", "--out", f"{out}/yolo", force],
            ["export", uri, "--format", "yolo", "--out", f"{out}/yolo", "--seed=1", force],
            ["enrich", uri, "--with", "duplicates", "--runner", "local"],
            ["report", uri, "--out", f"{out}/r.html"],
        ]
    )
    for words, one in told.items():
        assert set(one["codes"]) == {"0"}, f"{words}: {one['codes']}, {one['said']}"
    assert told[f"filter {uri}"]["codes"]["0"] > 1
    ensure_curated(run, get_policy("default"))
    for policy_id in list_folders(run.url("curated")):
        folder = Path(run.uri) / "curated" / policy_id
        names = {file.name for file in read_curate_stats(run, policy_id).files}
        assert names <= {path.name for path in folder.iterdir()}
        assert len(list(iter_curated(run, policy_id))) >= 1
    json.loads((tmp_path / "out" / "x.json").read_text())
    assert set(json.loads((Path(run.uri) / "stats.json").read_text())["policies"]) == set(
        list_folders(run.url("curated"))
    )
    # The last filter was alone, and so was the last export: nothing is left over.
    curate_run(run, get_policy("default"))
    folder = Path(run.uri) / "curated" / get_policy("default").policy_id
    named = {file.name for file in read_curate_stats(run, folder.name).files}
    assert {path.name for path in folder.iterdir()} == named | {"manifest.json", ".lock"}
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_a_filter_that_ends_first_takes_nothing_from_the_other(tmp_path: Path) -> None:
    """Decisions come between two filters; the second one ends while the first is still at work."""
    run, policy = run_of_units(tmp_path), get_policy("default")
    curate_run(run, policy)

    def slow(*args: Any, **options: Any) -> Iterator[Any]:
        yield from map_run(*args, **options)
        append_decisions(run, [make_decision(record_id="toy/0", box_id="toy/0#0")])
        curate_run(run, policy)

    older = curate_run(run, policy, mapper=slow)
    assert len(list(iter_curated(run, policy.policy_id))) == older.records_out
    newer = ensure_curated(run, policy)
    assert newer.decisions_id != older.decisions_id
    assert len(list(iter_curated(run, policy.policy_id))) == newer.records_out


def test_a_reader_ends_in_the_state_in_which_it_began(tmp_path: Path) -> None:
    run, policy = run_of_units(tmp_path), get_policy("default")
    curate_run(run, policy)
    reader = iter_curated(run, policy.policy_id)
    first = next(reader)
    append_decisions(run, [make_decision(record_id="toy/1", box_id="toy/1#0")])
    curate_run(run, policy)
    assert {row.decisions_id for row in reader} == {first.decisions_id}
    curate_run(run, policy)  # now nobody reads
    folder = Path(run.uri) / "curated" / policy.policy_id
    assert len(list(folder.glob("*.parquet"))) == len(
        read_curate_stats(run, policy.policy_id).files
    )


def test_nothing_is_written_for_a_policy_that_does_not_fit(tmp_path: Path) -> None:
    """A refused filter leaves no folder that would be taken for a curation."""
    run = run_of_units(tmp_path)
    with pytest.raises(GlipforgeError, match="has no layer"):
        curate_run(run, get_policy("yoloworld"))
    assert list_folders(run.url("curated")) == []
