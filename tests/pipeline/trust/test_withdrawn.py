"""A stated precision goes when what it was made of changes: verdicts, layers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.curation.calibration import precision_threshold, read_calibration, write_calibration
from pipeline.curation.decisions import append_decisions
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.trust.audit import draw_audit
from pipeline.trust.calibrate import calibrate_audit
from schemas.errors import ConfigError
from schemas.records import Verdict
from tests.pipeline.trust.planted import write_opinions
from tests.pipeline.trust.simulated import honest_verdicts, simulated_run
from tests.schemas.builders import make_decision

POLICY = FilterPolicy(name="sim", score_threshold=0.5)


def test_a_verdict_that_changes_later_withdraws_the_promise(tmp_path: Path) -> None:
    run, truth = simulated_run(tmp_path / "run", rows=200)
    wanted = replace(POLICY, min_precision=0.8)
    sample = draw_audit(run, POLICY, size=100)
    verdicts = honest_verdicts(sample, dict.fromkeys(truth, True))
    append_decisions(run, verdicts)
    write_calibration(run, POLICY, calibrate_audit(run, sample, POLICY, verdicts))
    assert precision_threshold(run, wanted)[0] == 0.5
    later = {"decided_at": "2027-01-01T00:00:00.000000Z"}
    # a word about a label that was not drawn changes nothing
    drawn = {one.box_id for one in sample.drawn}
    other = next(row for row in run.iter_annotations() if row.boxes[0].box_id not in drawn)
    more = make_decision(
        decision_id="o", record_id=other.record_id, box_id=other.boxes[0].box_id, **later
    )
    append_decisions(run, [replace(more, verdict=Verdict.DROP, xyxy=None, phrase_index=None)])
    assert precision_threshold(run, wanted)[0] == 0.5
    taken_back = [
        replace(one, decision_id=f"l{one.decision_id}", verdict=Verdict.DROP, **later)
        for one in verdicts[:40]
    ]
    append_decisions(run, taken_back)
    with pytest.raises(ConfigError, match=r"made of other verdicts: .*glipforge calibrate again"):
        precision_threshold(run, wanted)
    found = calibrate_audit(run, sample, POLICY, [*verdicts, *taken_back])
    assert (found.drawn, found.right) == (100, 60)


def test_a_layer_that_is_made_again_withdraws_the_promise(tmp_path: Path) -> None:
    run, truth = simulated_run(tmp_path / "run", rows=40)
    boxes = sum(len(row.boxes) for row in run.iter_annotations())
    policy = replace(POLICY, layer_thresholds={"clip.score": 0.5})
    write_opinions(run, "clip", {"score": [0.9, 0.1] * boxes})
    sample = draw_audit(run, policy, size=50)
    verdicts = honest_verdicts(sample, truth)
    append_decisions(run, verdicts)
    write_calibration(run, policy, calibrate_audit(run, sample, policy, verdicts))
    assert read_calibration(run, policy) is not None
    shutil.rmtree(run.url("layers", "clip"))
    write_opinions(run, "clip", {"score": [0.1, 0.9] * boxes}, maker="another model")
    with pytest.raises(ConfigError, match=r"made of other layers \(clip@\w+\)"):
        read_calibration(run, policy)
    with pytest.raises(ConfigError, match=r"was drawn with other layers \(clip@\w+\)"):
        calibrate_audit(run, sample, policy, verdicts)
