"""A run without its bad images: what is kept is as it was, and the run is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.cli import main as glipforge
from pipeline.curation.curate import curate_run, iter_curated
from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.curation.rules.presets import get_policy
from pipeline.imported.pruned import PruneOptions, prune
from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, DataError, FingerprintMismatch
from schemas.records import Annotation, Status, Verdict
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.pipeline.layers.runs import drawn_row
from tests.schemas.builders import make_decision


def failed(row: Annotation) -> Annotation:
    return replace(row, boxes=(), phrases=(), status=Status.IMAGE_CORRUPT, detail="torn")


def old_run(folder: Path) -> RunStore:
    """Three units of two pairs: 1 failed, 2 was called bad, both of the last unit failed."""
    rows = [drawn_row(folder, number) for number in range(6)]
    for number in (1, 4, 5):
        rows[number] = failed(rows[number])
    run = folder_run(folder / "old", rows[:2], more_units=[2, 2])
    commit_rows(run, 1, rows[2:4])
    commit_rows(run, 2, rows[4:])
    words = [
        make_decision(
            record_id="toy/2", box_id="", verdict=Verdict.BAD, reason="blurred", decision_id="a"
        ),
        make_decision(record_id="toy/0", box_id="toy/0#0", decision_id="b"),
    ]
    append_decisions(run, words)
    return run


def ids(run: RunStore) -> list[str]:
    return [row.record_id for row in (*run.iter_annotations(), *run.iter_quarantine())]


def test_what_is_bad_is_left_out(tmp_path: Path) -> None:
    old, new = old_run(tmp_path), RunStore(str(tmp_path / "new"))
    assert glipforge(["enrich", old.uri, "--with", "duplicates", "--runner", "local"]) == 0
    before = {path: path.read_bytes() for path in Path(old.uri).rglob("*") if path.is_file()}
    found = prune(old, new, PruneOptions())
    assert (found.kept, found.decisions, found.layers) == (2, 1, ["duplicates"])
    assert found.left_out == {"image_corrupt": 3, "called bad by people": 1}
    assert ids(new) == ["toy/0", "toy/3"]
    assert new.is_complete()
    by_id = {row.record_id: row for row in old.iter_annotations()}
    assert [by_id[row.record_id] for row in new.iter_annotations()] == list(new.iter_annotations())
    assert [one.decision_id for one in load_decisions(new)] == ["b"]
    layer = LayerStore(new, "duplicates")
    keys = [key for commit in layer.commits().values() for key in layer.read(commit)["record_id"]]
    assert [key.as_py() for key in keys] == ["toy/0", "toy/3"]
    assert layer.finalize()
    curate_run(new, get_policy("default"))
    assert [row.record_id for row in iter_curated(new, "default")] == ["toy/0", "toy/3"]
    assert {path: path.read_bytes() for path in before} == before  # the old run is as it was


def test_once_more_changes_nothing_and_other_rules_are_refused(tmp_path: Path) -> None:
    old, new = old_run(tmp_path), RunStore(str(tmp_path / "new"))
    prune(old, new, PruneOptions())
    before = {p: p.read_bytes() for p in Path(new.uri).rglob("*.parquet")}
    again = prune(old, RunStore(new.uri), PruneOptions())
    assert again.kept == 2
    assert {p: p.read_bytes() for p in Path(new.uri).rglob("*.parquet")} == before
    with pytest.raises(FingerprintMismatch, match="pruned"):
        prune(old, RunStore(new.uri), PruneOptions(keep_failed=True))


def test_more_or_less_may_be_left_out(tmp_path: Path) -> None:
    old = old_run(tmp_path)
    all_but_bad = RunStore(str(tmp_path / "failed"))
    found = prune(old, all_but_bad, PruneOptions(keep_failed=True, without={"toy/3"}))
    assert sorted(ids(all_but_bad)) == ["toy/0", "toy/1", "toy/4", "toy/5"]
    assert found.left_out == {"called bad by people": 1, "in the list of --without": 1}
    with pytest.raises(DataError, match="nothing would be left"):
        prune(old, RunStore(str(tmp_path / "none")), PruneOptions(without={"toy/0", "toy/3"}))
    assert not (tmp_path / "none" / "_plan.json").exists()
    with pytest.raises(ConfigError, match="out must be another place than the run"):
        prune(old, RunStore(old.uri + "/"), PruneOptions())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, out = old_run(tmp_path), tmp_path / "new"
    listed = tmp_path / "ids.txt"
    listed.write_text("toy/3\n")
    assert glipforge(["prune", old.uri, "--out", str(out), "--without", str(listed)]) == 0
    said = capsys.readouterr().out
    assert "1 pairs kept, with 1 decisions" in said
    assert "left out: 1 x in the list of --without" in said
    assert f"next: glipforge filter {out}" in said
    assert glipforge(["status", str(out)]) == 0
    assert glipforge(["prune", old.uri, "--out", str(out), "--without-leaks"]) == 2
    assert "was not compared with a test set" in capsys.readouterr().err
    (tmp_path / "old" / "_SUCCESS").unlink()
    assert glipforge(["prune", old.uri, "--out", str(tmp_path / "x")]) == 2
    assert "is not complete: pairs that come later would be missing" in capsys.readouterr().err
