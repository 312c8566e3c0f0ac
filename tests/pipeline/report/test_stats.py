from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.curation.curate import curate_run
from pipeline.curation.label_stats import TopCounter, label_stats
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.report.stats import merge_stats, read_stats
from schemas.errors import DataError
from schemas.records import Status
from schemas.tables import annotations_to_table, curated_to_table
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.schemas.builders import make_annotation, make_box, make_curated


def test_a_counter_that_is_not_full_is_exact() -> None:
    counter = TopCounter(capacity=3)
    for key in "abcab":
        counter.add([key])
    assert counter.top() == [("a", 2), ("b", 2), ("c", 1)]
    assert counter.undercount == 0


def test_a_full_counter_keeps_what_is_frequent() -> None:
    counter = TopCounter(capacity=10)
    for number in range(1000):
        counter.add(["frequent"])
        counter.add([f"rare {number}"])
    assert len(counter) <= 10
    key, count = counter.top(1)[0]
    assert key == "frequent"
    assert count + counter.undercount >= 1000 >= count


def test_merged_counters_are_what_one_counter_would_be() -> None:
    left, right = TopCounter(capacity=3), TopCounter(capacity=3)
    for key in "aab":
        left.add([key])
    for key in "acdd":
        right.add([key])
    left.merge(right)
    assert left.undercount == 1
    assert left.top() == [("a", 2), ("d", 1)]


def test_nothing_read() -> None:
    stats = label_stats([])
    assert (stats.records, stats.boxes, sum(stats.score_bins)) == (0, 0, 0)


def test_label_stats() -> None:
    boxes = (
        make_box(box_id="toy/0#0", score=1.0),
        make_box(box_id="toy/0#1", score=0.0, phrase_index=1),
        make_box(box_id="toy/0#2", score=0.05),
    )
    rows = [
        make_annotation(boxes=boxes),
        make_annotation(record_id="toy/1", boxes=(), status=Status.NO_BOXES),
    ]
    stats = label_stats(
        [annotations_to_table(rows), curated_to_table([make_curated(record_id="toy/2")])]
    )
    assert (stats.records, stats.records_with_boxes, stats.boxes) == (3, 2, 4)
    assert (stats.phrases, stats.phrases_with_boxes) == (6, 4)
    assert (stats.score_bins[0], stats.score_bins[1], stats.score_bins[19]) == (1, 1, 1)
    assert stats.boxes_per_record[:4] == [1, 1, 0, 1]
    assert stats.statuses == {"ok": 1, "no_boxes": 1}
    assert stats.phrase_texts.top() == [("a café", 2), ("a dog", 2)]
    assert stats.heads.top() == [("café", 2), ("dog", 2)]
    assert stats.not_found_bins == [2, *[0] * 19]  # both of the pair without a box


def test_stats_are_merged_and_read_only_what_is_new(tmp_path: Path) -> None:
    row = make_annotation()
    run = folder_run(tmp_path, [row], more_units=[1])
    assert read_stats(run) is None
    policy = FilterPolicy(name="t", score_threshold=0.2)
    first = merge_stats(run, [curate_run(run, policy).policy_id])
    assert read_stats(run) == first
    assert first.policies[policy.policy_id].labels.boxes == 1
    assert first.policies[policy.policy_id].drops.boxes == 1
    other = FilterPolicy(name="u", score_threshold=0.9)
    second = merge_stats(run, [curate_run(run, other).policy_id])
    assert set(second.policies) == {policy.policy_id, other.policy_id}
    commit_rows(run, 1, [make_annotation(record_id="toy/9")])
    third = merge_stats(run, [curate_run(run, policy).policy_id])
    assert third.annotations.records == 2
    assert set(third.policies) == {policy.policy_id}  # the other one is out of date


def test_a_broken_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "stats.json").write_text("{")
    with pytest.raises(DataError, match=r"stats.json is not JSON: .*delete it, it is made again"):
        read_stats(folder_run(tmp_path, []))
