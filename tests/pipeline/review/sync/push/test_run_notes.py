"""A run's queue, audits and policy as notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.curation.rules.presets import get_policy
from pipeline.review.sync.push.run_notes import read_notes
from pipeline.trust.audit import draw_audit
from pipeline.trust.audit_sample import write_audit
from pipeline.trust.suspects import Suspect, write_queue
from tests.pipeline.folder_run import folder_run
from tests.pipeline.review.builders import make_row

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
