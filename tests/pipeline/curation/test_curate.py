from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.curation import in_use
from pipeline.curation.box_state import resolve_record
from pipeline.curation.curate import (
    curate_run,
    ensure_curated,
    find_curated,
    iter_curated,
    read_curate_stats,
)
from pipeline.curation.curated_record import curated_record
from pipeline.curation.decisions import append_decisions
from pipeline.curation.manifest import CurateStats
from pipeline.curation.rules.filters import filter_rows
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import get_policy
from pipeline.run.store import RunStore
from pipeline.storage.files import join_url
from pipeline.storage.folders import list_files
from schemas.errors import ConfigError, DataError
from schemas.records import Annotation, CuratedBox, CuratedRecord, Decision, Status, Verdict
from tests.pipeline.curation.test_decisions import decided
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.schemas.builders import make_annotation, make_box

POLICY = FilterPolicy(name="t", score_threshold=0.5, cross_phrase="merge")
HERE, NEAR, FAR = (10.0, 10.0, 20.0, 20.0), (10.0, 10.0, 20.0, 19.5), (40.0, 10.0, 50.0, 20.0)
THERE = (30.0, 30.0, 40.0, 40.0)


def pair(*boxes: tuple[int, float, Any], record_id: str = "toy/0") -> Annotation:
    made = tuple(
        make_box(box_id=f"{record_id}#{n}", phrase_index=phrase, score=score, xyxy=xyxy)
        for n, (phrase, score, xyxy) in enumerate(boxes)
    )
    status = Status.OK if made else Status.NO_BOXES
    return make_annotation(record_id=record_id, boxes=made, status=status)


def run_one(
    row: Annotation, decisions: Sequence[Decision] = (), policy: FilterPolicy = POLICY
) -> tuple[CuratedRecord | None, CurateStats]:
    stats = CurateStats(
        policy_id=policy.policy_id, decisions_id="", annotations_id="", is_complete=True
    )
    result = filter_rows([row], policy)[0]
    return curated_record(row, result, policy, resolve_record(row, decisions), stats), stats


def brief(record: CuratedRecord | None) -> list[tuple[str, tuple[int, ...], str]]:
    boxes: Sequence[CuratedBox] = () if record is None else record.boxes
    return [(box.box_id[6:], box.phrase_indices, box.origin) for box in boxes]


GOOD, MERGEE, WEAK = (0, 0.9, HERE), (1, 0.8, NEAR), (1, 0.2, FAR)


@pytest.mark.parametrize(
    "decisions, expected",
    [
        ([], [("0", (0, 1), "teacher")]),
        # KEEP brings a dropped box back; of a box that stays anyway it changes nothing
        ([("keep", "2")], [("0", (0, 1), "teacher"), ("2", (1,), "teacher")]),
        ([("keep", "0")], [("0", (0, 1), "teacher")]),
        ([("keep", "1")], [("0", (0, 1), "teacher")]),
        # DROP of the better box leaves the phrase of the other, at its own place
        ([("drop", "0")], [("1", (1,), "teacher")]),
        ([("drop", "1")], [("0", (0,), "teacher")]),
        ([("drop", "0"), ("keep", "1")], [("1", (1,), "teacher")]),
        ([("drop", "2")], [("0", (0, 1), "teacher")]),
        ([("drop", "0"), ("drop", "1")], []),
        # EDIT moves the box out of what it was merged with
        ([("edit", "0")], [("1", (1,), "teacher"), ("0", (0,), "human")]),
        ([("edit", "2")], [("0", (0, 1), "teacher"), ("2", (1,), "human")]),
        ([("add", "n")], [("0", (0, 1), "teacher"), ("n", (1,), "human")]),
        ([("drop", "0"), ("drop", "1"), ("add", "n")], [("n", (1,), "human")]),
    ],
)
def test_people_outrank_the_policy(decisions: list, expected: list) -> None:
    rows = []
    for number, (verdict, box) in enumerate(decisions):
        place: dict[str, Any] = {"box_id": f"toy/0#{box}"}
        if verdict in ("edit", "add"):
            place |= {"xyxy": THERE, "phrase_index": 1 if verdict == "add" else None}
        rows.append(decided(number, Verdict(verdict), **place))
    record, _ = run_one(pair(GOOD, MERGEE, WEAK), rows)
    assert brief(record) == expected
    for box in () if record is None else record.boxes:
        if box.origin == "human":
            assert (box.xyxy, box.score) == (THERE, 1.0)


def test_an_edit_of_the_phrase_alone_leaves_the_box_where_it_is() -> None:
    record, _ = run_one(pair(GOOD), [decided(1, Verdict.EDIT, phrase_index=1)])
    assert record is not None
    assert record.boxes[0].xyxy == HERE
    assert record.boxes[0].phrase_indices == (1,)


def test_a_pair_that_the_policy_leaves_out_comes_back_with_what_people_kept() -> None:
    row = pair(WEAK, (0, 0.3, HERE))
    assert run_one(row)[0] is None
    record, stats = run_one(row, [decided(1, Verdict.KEEP)])
    assert brief(record) == [("0", (1,), "teacher")]
    assert stats.records_decided["restored"] == 1
    assert stats.decisions_applied["restored"] == 1


def test_a_pair_whose_boxes_people_all_took_away_goes_and_is_counted() -> None:
    record, stats = run_one(pair(GOOD), [decided(1, Verdict.DROP)])
    assert record is None
    assert stats.records_decided["emptied"] == 1
    kept_negative, _ = run_one(
        pair(GOOD), [decided(1, Verdict.DROP)], FilterPolicy(name="n", min_boxes=0)
    )
    assert kept_negative is not None
    assert kept_negative.boxes == ()


def test_a_box_drawn_over_the_edge_is_clipped_and_counted() -> None:
    row = pair(GOOD)  # 64 x 48 pixels
    record, stats = run_one(row, [decided(1, Verdict.EDIT, xyxy=(50.0, 40.0, 70.0, 60.0))])
    assert record is not None
    assert record.boxes[0].xyxy == (50.0, 40.0, 64.0, 48.0)
    assert stats.decisions_applied["clipped"] == 1
    outside = decided(1, Verdict.EDIT, xyxy=(70.0, 0.0, 80.0, 9.0))
    with pytest.raises(DataError, match=r"decision 'd1' about 'toy/0': xyxy .* has no area inside"):
        run_one(row, [outside])


ROWS = [
    pair(GOOD, MERGEE, record_id="toy/0"),
    pair(record_id="toy/1"),
    pair(WEAK, record_id="toy/2"),
    pair((0, 0.7, FAR), record_id="toy/3"),
    make_annotation(record_id="toy/4", phrases=(), boxes=(), status=Status.NO_PHRASES),
]


def files_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.name: path.read_bytes() for path in files if path.name != in_use.LOCK}


def test_curate_run_writes_records_and_a_manifest(tmp_path: Path) -> None:
    run = folder_run(tmp_path, ROWS[:2], more_units=[3])
    commit_rows(run, 1, ROWS[2:])
    stats = curate_run(run, POLICY)
    assert [row.record_id for row in iter_curated(run, "t")] == ["toy/0", "toy/3"]
    assert [row.policy_id for row in iter_curated(run, POLICY.policy_id)] == [POLICY.policy_id] * 2
    assert stats.records_out == 2
    assert stats.drops.records_dropped == {
        "no_boxes": 1,
        "image: too few boxes": 1,
        "no_phrases": 1,
    }
    assert read_curate_stats(run, POLICY.policy_id) == stats
    manifest = json.loads((tmp_path / "curated" / POLICY.policy_id / "manifest.json").read_text())
    assert manifest["policy"]["score_threshold"] == 0.5
    before = files_of(tmp_path / "curated")
    assert len(before) == 3
    curate_run(run, POLICY)
    assert files_of(tmp_path / "curated") == before  # byte for byte


def test_decisions_make_it_new_and_the_old_files_go(tmp_path: Path) -> None:
    run = folder_run(tmp_path, ROWS, more_units=[1])
    stats = curate_run(run, POLICY)
    assert ensure_curated(run, POLICY) == stats
    append_decisions(run, [decided(1, Verdict.KEEP, record_id="toy/2", box_id="toy/2#0")])
    again = ensure_curated(run, POLICY)
    assert again.decisions_id != stats.decisions_id
    assert [row.record_id for row in iter_curated(run, "t")] == ["toy/0", "toy/2", "toy/3"]
    folder = tmp_path / "curated" / POLICY.policy_id
    assert len(list(folder.glob("*.parquet"))) == 1
    # another unit committed since: curated again as well
    assert not again.is_complete
    commit_rows(run, 1, [pair(GOOD, record_id="toy/5")])
    whole = ensure_curated(run, POLICY)
    assert (whole.records_out, whole.is_complete) == (4, True)


def test_an_error_leaves_the_old_state(tmp_path: Path) -> None:
    run = folder_run(tmp_path, ROWS)
    curate_run(run, POLICY)
    before = files_of(tmp_path / "curated")
    lost = decided(1, Verdict.DROP, record_id="toy/9", box_id="toy/9#0")
    with pytest.raises(DataError, match=r"decision 'd1' is about 'toy/9', which is not among"):
        curate_run(run, POLICY, [lost])
    assert set(before) <= set(files_of(tmp_path / "curated"))
    assert len(list(iter_curated(run, "t"))) == 2


class LayersInMemory(RunStore):
    """A run whose later layers are on an object store."""

    def url(self, *parts: str) -> str:
        here = parts[0] in ("curated", "decisions")
        return join_url("memory://curate-test", *parts) if here else super().url(*parts)


def test_on_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = LayersInMemory(folder_run(tmp_path, ROWS).uri)
    append_decisions(run, [decided(1, Verdict.KEEP, record_id="toy/2", box_id="toy/2#0")])
    stats = ensure_curated(run, POLICY)
    assert ensure_curated(run, POLICY) == stats
    assert [row.record_id for row in iter_curated(run, "t")] == ["toy/0", "toy/2", "toy/3"]
    append_decisions(run, [decided(2, Verdict.DROP, record_id="toy/2", box_id="toy/2#0")])
    folder = run.url("curated", POLICY.policy_id)
    named = [entry.name for entry in ensure_curated(run, POLICY).files]
    assert len(named) == 1
    # What an export may still read stays for a while.
    assert len(list_files(folder, suffix=".parquet")) == 2
    monkeypatch.setattr(in_use, "KEPT_S", -1.0)
    curate_run(run, POLICY)
    assert list_files(folder, suffix=".parquet") == named
    assert not (tmp_path / "curated").exists()


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    run = folder_run(tmp_path, ROWS[:2], more_units=[2, 1])
    commit_rows(run, 1, ROWS[2:4])
    commit_rows(run, 2, ROWS[4:])
    append_decisions(run, [decided(1, Verdict.KEEP, record_id="toy/2", box_id="toy/2#0")])
    one = curate_run(run, POLICY, workers=1)
    before = files_of(tmp_path / "curated")
    two = curate_run(run, POLICY, workers=2)
    assert one == two
    assert files_of(tmp_path / "curated") == before
    # an error in a worker is the same error here
    with pytest.raises(ConfigError, match=r"has no layer 'clip'"):
        curate_run(run, get_policy("yoloworld"), workers=2)


def test_an_empty_run(tmp_path: Path) -> None:
    run = folder_run(tmp_path, [])
    assert curate_run(run, POLICY).records_out == 0
    assert list(iter_curated(run, "t")) == []


def test_yoloworld_without_clip_scores_stops(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no layer 'clip'"):
        curate_run(folder_run(tmp_path, ROWS), get_policy("yoloworld"))


def test_what_is_not_curated_or_changed_is_named(tmp_path: Path) -> None:
    run = folder_run(tmp_path, ROWS)
    with pytest.raises(ConfigError, match=r"policy 'grit' names 0 curations of this run \(none\)"):
        find_curated(run, "grit")
    curate_run(run, POLICY)
    curate_run(run, FilterPolicy(name="t", score_threshold=0.6))
    several = r"policy 't' names 2 curations of this run \(t@.*give one by its whole id"
    with pytest.raises(ConfigError, match=several):
        find_curated(run, "t")
    folder = tmp_path / "curated" / POLICY.policy_id
    (part,) = folder.glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"was changed after it was written"):
        list(iter_curated(run, POLICY.policy_id))
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest.json has version None; .* filter again"):
        read_curate_stats(run, POLICY.policy_id)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("records_out", -1, r"records_out must be in \[0, .*, got -1"),
        ("boxes_out", {"teacher": -2}, r"boxes_out: teacher must be a whole number >= 0, got -2"),
        (
            "files",
            [{"name": "../a.parquet", "num_rows": 1, "sha256": "0"}],
            r"files\[0\].name must be the name of a Parquet file beside it, got '../a.parquet'",
        ),
        ("files", [{"name": "a.parquet", "sha256": "0"}], r"files\[0\].num_rows is missing"),
        ("labels", {"records": 1}, r"labels\.\w+ is missing"),
        ("drops", {"boxes": "3"}, r"drops.boxes must be in \[0, .*, got '3'"),
        ("mood", "good", r"mood is unknown; allowed: annotations_id, "),
    ],
)
def test_a_manifest_is_checked_field_by_field(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    run = folder_run(tmp_path, ROWS)
    curate_run(run, POLICY)
    path = tmp_path / "curated" / POLICY.policy_id / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(DataError, match=said + r".*; run glipforge filter again$"):
        read_curate_stats(run, POLICY.policy_id)
