"""A run's queue, audits and policy as notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.curation.rules.presets import get_policy
from pipeline.review.sync.push.run_notes import read_notes
from pipeline.trust.audit import draw_audit
from pipeline.trust.audit_sample import write_audit
from pipeline.trust.suspects import Suspect, write_queue
from schemas.records import Status
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.pipeline.layers.runs import drawn_row, drawn_run
from tests.pipeline.review.builders import make_row
from tests.pipeline.trust.planted import write_opinions

POLICY = replace(get_policy("default"), score_threshold=0.2)


def test_a_run_without_queue_and_audit_knows_what_the_policy_keeps(tmp_path: Path) -> None:
    row = make_row()
    run = folder_run(tmp_path / "run", [row])
    notes = read_notes(run, POLICY)
    assert (notes.suspects, notes.missing, notes.audited) == ({}, {}, frozenset())
    assert notes.keeps is not None
    kept = notes.keeps(row)
    assert "toy/0#0" in kept
    assert "toy/0#2" not in kept  # scores 0.125
    assert read_notes(run, POLICY, show_all=True).keeps is None


def test_queue_and_audit_are_read(tmp_path: Path) -> None:
    run = folder_run(tmp_path / "run", [make_row()])
    policy = POLICY
    common = {"record_id": "toy/0", "phrase": "a dog", "queue_reasons": ("too large",)}
    write_queue(
        run,
        policy,
        [
            Suspect(**common, box_id="toy/0#1", queue_score=0.75),
            Suspect(**common, box_id="", queue_score=0.5),
        ],
    )
    write_audit(run, draw_audit(run, policy, size=1))
    notes = read_notes(run, policy)
    assert notes.suspects["toy/0#1"].score == 0.75
    assert notes.suspects["toy/0#1"].reasons == ("too large",)
    assert notes.missing["toy/0"].score == 0.5
    assert len(notes.audited) == 1


def test_the_layer_stability_is_read_unit_by_unit_in_any_order(tmp_path: Path) -> None:
    run = drawn_run(tmp_path, units=2)
    rows = list(run.iter_annotations())
    assert read_notes(run, POLICY).again is None
    scores: list[float | None] = [n / 16 for n in range(sum(len(row.boxes) for row in rows))]
    scores[1] = None
    write_opinions(run, "stability", {"score": scores})
    again = read_notes(run, POLICY).again
    assert again is not None
    assert again(rows[0]) == {"toy/0#0": 0.0}
    assert again(rows[5]) == {"toy/5#0": 8 / 16, "toy/5#1": 9 / 16}
    assert again(rows[4]) == {}  # has no boxes
    assert again(rows[2]) == {"toy/2#0": 4 / 16, "toy/2#1": 5 / 16}
    assert again(replace(drawn_row(tmp_path, 5), boxes=make_row().boxes[:1])) == {"toy/0#0": 0.0}
    stranger = replace(make_row().boxes[0], box_id="toy/99#0")
    assert again(make_row(boxes=(stranger,))) == {}


def test_a_layer_that_lacks_units_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    run = folder_run(tmp_path / "run", [make_row()], more_units=[1])
    write_opinions(run, "stability", {"score": [0.5] * 3})
    commit_rows(run, 1, [replace(make_row(), record_id="toy/1", boxes=(), status=Status.NO_BOXES)])
    notes = read_notes(run, POLICY)
    assert notes.again is None
    assert notes.said[0].startswith("stability.score is not used: layer 'stability' of run")
