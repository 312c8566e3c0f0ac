"""What the card of an export may say about precision, and when it must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from pipeline.curation.calibration import write_calibration
from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.export.card import CardFacts, card_text
from pipeline.export.card_facts import PART, card_facts
from pipeline.export.categories import Categories
from pipeline.export.options import ExportSummary
from pipeline.run.store import RunStore
from pipeline.trust.audit import draw_audit
from pipeline.trust.calibrate import calibrate_audit
from schemas.records import Verdict
from tests.pipeline.trust.simulated import honest_verdicts, simulated_run

POLICY = FilterPolicy(name="sim", score_threshold=0.5)


def said(*runs: RunStore, policy: FilterPolicy = POLICY) -> tuple[str, ...]:
    return card_facts(runs, [policy] * len(runs), "").precision


def test_a_card_states_what_holds_and_of_which_run(tmp_path: Path) -> None:
    run, truth = simulated_run(tmp_path / "first", rows=60)
    other, _ = simulated_run(tmp_path / "other", seed=1, rows=5)
    assert said(run) == ()
    sample = draw_audit(run, POLICY, size=50)
    right = honest_verdicts(sample, dict.fromkeys(truth, True))
    append_decisions(run, right)
    write_calibration(run, POLICY, calibrate_audit(run, sample, POLICY, load_decisions(run)))
    whole, last = said(run)
    assert f"policy {POLICY.policy_id}: 50 of 50 judged labels are right" in whole
    assert "labels 100.0%, between 9" in whole
    assert last == PART
    promise = said(run, policy=replace(POLICY, min_precision=0.9))[1]
    assert "above score 0.5, of which at least 90% are right, with confidence 0.95" in promise
    # beside a run that nobody measured it is said which one was
    first, second, _ = said(run, other)
    assert f"policy {POLICY.policy_id}, run first: 50 of 50" in first
    assert second == "- policy sim, run other: no precision was measured."
    # a verdict that is taken back takes the statement with it
    back = replace(
        right[0],
        decision_id="later",
        verdict=Verdict.DROP,
        decided_at="2027-01-01T00:00:00.000000Z",
    )
    append_decisions(run, [back])
    assert "its calibration no longer holds" in said(run)[0]


def test_the_head_of_a_card_is_yaml_whatever_a_name_holds() -> None:
    names = [
        "a: b",
        "- x",
        'say "hi" #1',
        "bell\x07\x7f\x85\u2028",
        "tag\U000e0041",
        "---\nx: 1",
        "\U0001f600",
    ]
    summary = ExportSummary(format="hf-imagefolder", paths=[])
    facts = CardFacts(made_with="glipforge", license="mit\n---\nx: *y")
    text = card_text(summary, Categories(names, mode="names"), facts)
    head = yaml.safe_load(text.removeprefix("---").partition("\n---\n")[0])
    assert list(head["glipforge"]["class_label"]["names"].values()) == names
    assert head["license"] == facts.license
