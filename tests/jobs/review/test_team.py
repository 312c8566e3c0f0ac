"""`review agree`, `--carry`, `status` and `report` on decisions of several reviewers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import cli
from jobs.review.gold import gold_boxes
from jobs.review.push import carry_decisions
from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.gold import load_gold
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.records import Decision, Verdict
from tests.jobs.toy_run import RED, toy_rows, toy_run, write_gold
from tests.pipeline.folder_run import folder_run
from tests.pipeline.review.builders import decide


def two_opinions() -> list[Decision]:
    return [
        decide("toy/0#0", Verdict.KEEP, 1, reviewer="alice"),
        decide("toy/0#0", Verdict.DROP, 2, reviewer="bob"),
        decide("toy/0#1", Verdict.KEEP, 3, reviewer="alice"),
        decide("toy/0#1", Verdict.KEEP, 4, reviewer="bob"),
        decide("toy/0#2", Verdict.DROP, 5, reviewer="alice"),
        decide("toy/0#2", Verdict.DROP, 6, reviewer="bob"),
    ]


@pytest.fixture
def reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    run = toy_run(tmp_path, monkeypatch)
    append_decisions(run, two_opinions())
    return run


def test_conflicts_are_listed_and_settled(
    reviewed: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["review", "agree", reviewed.uri]) == 0
    said = capsys.readouterr().out
    assert "alice and bob: 2 of 3 boxes the same, Cohen's kappa 0.400" in said
    assert "conflict: toy/0#0: alice keep, bob drop" in said
    assert cli.main(["review", "agree", reviewed.uri, "--settle", "alice", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["settled"], found["conflicts"]) == (1, [])
    last = load_decisions(reviewed)[-1]
    assert (last.verdict, last.reviewer) == (Verdict.KEEP, "rule:alice")
    assert cli.main(["review", "agree", reviewed.uri, "--settle", "zoe"]) == 2
    assert "a reviewer of this run (alice, bob), got 'zoe'" in capsys.readouterr().err


def test_status_and_report_tell_what_people_said(
    reviewed: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", reviewed.uri]) == 0
    said = capsys.readouterr().out
    assert "review   3 boxes judged: 1 accepted, 0 changed, 2 rejected; 0 drawn" in said
    assert "95 % interval" in said
    assert "not an estimate for the run" in said
    assert "alice and bob: 2 of 3 boxes the same, kappa 0.40" in said
    page = tmp_path / "page.html"
    assert cli.main(["report", reviewed.uri, "--out", str(page), "--pictures", "0"]) == 0
    assert "3 boxes judged: 1 accepted" in page.read_text()


def test_decisions_are_carried_to_a_new_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = folder_run(tmp_path / "old", toy_rows(tmp_path))
    rows = [replace(row, boxes=row.boxes[:2], teacher_id="another") for row in toy_rows(tmp_path)]
    new = folder_run(tmp_path / "new", rows)
    append_decisions(old, two_opinions())
    report = carry_decisions(new, old.uri, min_iou=0.7)
    assert [(d.box_id, d.verdict, d.reviewer) for d in report.decisions] == [
        ("toy/0#0", Verdict.DROP, "bob"),
        ("toy/0#1", Verdict.KEEP, "bob"),
    ]
    assert "2 decisions carried over" in capsys.readouterr().out
    (left,) = map(json.loads, Path(new.url("not_carried.jsonl")).read_text().splitlines())
    assert (left["box_id"], left["reason"]) == ("toy/0#2", "the new run does not have such a box")
    assert carry_decisions(new, old.uri, min_iou=0.7).decisions == []
    assert len(load_decisions(new)) == 2
    with pytest.raises(ConfigError, match="carry must name another run"):
        carry_decisions(new, new.uri, min_iou=0.7)


def test_gold_boxes_have_the_words_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy_run(tmp_path, monkeypatch)
    boxes = gold_boxes(run, load_gold(write_gold(tmp_path)))
    assert sorted(boxes) == ["toy/0", "toy/1", "toy/2"]
    words, place = boxes["toy/0"][0]
    assert words == "a red box"
    assert place == pytest.approx([RED[0] / 64, RED[1] / 48, 20 / 64, 24 / 48])
    with pytest.raises(ConfigError, match="has no phrases"):
        gold_boxes(run, load_gold(write_gold(tmp_path, detection=True)))
