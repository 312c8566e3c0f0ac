"""From a run on the disk to a stated precision: draw, judge, calibrate, filter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.curation.calibration import (
    Calibration,
    calibration_path,
    precision_threshold,
    read_calibration,
    write_calibration,
)
from pipeline.curation.curate import curate_run, ensure_curated, iter_curated
from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.trust.audit import draw_audit
from pipeline.trust.audit_sample import AuditSample, find_audit, is_of
from pipeline.trust.calibrate import calibrate_audit
from pipeline.trust.verdicts import Truth, judge
from schemas.errors import ConfigError
from schemas.records import Verdict
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.pipeline.trust.simulated import honest_verdicts, simulated_run
from tests.schemas.builders import make_annotation, make_decision

POLICY = FilterPolicy(name="sim", score_threshold=0.5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunStore, dict[str, bool]]:
    return simulated_run(tmp_path_factory.mktemp("sim") / "run", rows=900)


def scores(run: RunStore) -> dict[str, float]:
    return {box.box_id: box.score for row in run.iter_annotations() for box in row.boxes}


def calibrated(
    world: tuple[RunStore, dict[str, bool]], sample: AuditSample, **options: Any
) -> Calibration:
    run, truth = world
    policy = options.pop("policy", POLICY)
    return calibrate_audit(run, sample, policy, honest_verdicts(sample, truth), **options)


@pytest.mark.slow
@pytest.mark.parametrize("strata", [(), ("score",)])
def test_on_a_run_the_promise_is_kept(
    world: tuple[RunStore, dict[str, bool]], strata: tuple[str, ...]
) -> None:
    run, truth = world
    score, kept, off = scores(run), [], []
    for seed in range(200):
        sample = draw_audit(run, POLICY, size=300, seed=seed, strata=strata)
        found = calibrated(world, sample, precisions=(0.8,))
        threshold = found.promises[0].threshold
        if threshold is not None:
            above = [truth[b] for b, s in score.items() if s > np.float32(threshold)]
            kept.append(np.mean(above) >= 0.8)
            assert found.promises[0].labels == len(above)
        whole = np.mean([truth[b] for b, s in score.items() if s > np.float32(0.5)])
        off.append(abs((found.curve[-1].precision or 0) - whole))
    assert np.mean([*kept, *[True] * (200 - len(kept))]) >= 0.95
    assert np.quantile(off, 0.8) < 0.03
    assert len(kept) > 150  # and it is not by promising nothing


def test_a_policy_in_precision(world: tuple[RunStore, dict[str, bool]], tmp_path: Path) -> None:
    run, truth = simulated_run(tmp_path / "run", rows=600)
    wanted = replace(POLICY, min_precision=0.9)
    with pytest.raises(ConfigError, match=r"min_precision 0.9 needs a calibration of the same ru"):
        curate_run(run, wanted)
    sample = draw_audit(run, POLICY, size=500)
    append_decisions(run, honest_verdicts(sample, truth))
    found = calibrate_audit(run, sample, POLICY, load_decisions(run))
    write_calibration(run, POLICY, found)
    assert read_calibration(run, wanted) == found
    threshold, calibration_id = precision_threshold(run, wanted)
    assert threshold is not None
    named = replace(wanted, name="ninety")  # the rules count, not what they are called
    assert precision_threshold(run, named) == (threshold, calibration_id)
    assert is_of(sample, named)
    assert not is_of(sample, replace(named, score_threshold=0.6))
    stats = curate_run(run, wanted)
    assert stats.calibration_id == calibration_id != ""
    labels = [box for record in iter_curated(run, wanted.policy_id) for box in record.boxes]
    drawn = {one.box_id for one in sample.drawn}  # what people kept stays, whatever its score
    assert min(box.score for box in labels if box.box_id not in drawn) > threshold
    assert stats.drops.boxes_kept == found.promises[1].labels
    assert np.mean([truth[box.box_id] for box in labels]) >= 0.9
    assert stats.drops.boxes_dropped["score: not above the threshold of the promised precision"]
    assert ensure_curated(run, wanted) == stats
    # another calibration makes other labels
    more = draw_audit(run, POLICY, size=900, seed=1)
    append_decisions(run, honest_verdicts(more, truth, named="more"))
    again = calibrate_audit(run, more, POLICY, load_decisions(run))
    write_calibration(run, POLICY, again)
    assert ensure_curated(run, wanted).calibration_id == again.calibration_id != calibration_id
    with pytest.raises(ConfigError, match=r"must be one of those .*\(0.8, 0.9, 0.95\), got 0.85"):
        curate_run(run, replace(POLICY, min_precision=0.85))
    # a policy with other rules has no calibration here
    with pytest.raises(ConfigError, match=r"needs a calibration of the same rules"):
        curate_run(run, replace(wanted, score_threshold=0.6))
    # what was copied from another policy or run is refused
    other = replace(POLICY, score_threshold=0.45)
    Path(calibration_path(run, other)).write_bytes(Path(calibration_path(run, POLICY)).read_bytes())
    with pytest.raises(ConfigError, match=r"calibrates policy sim@.*, not sim@"):
        read_calibration(run, other)


def test_no_threshold_qualifies(tmp_path: Path) -> None:
    run, truth = simulated_run(tmp_path / "run", rows=300)
    wrong = dict.fromkeys(truth, False)
    sample = draw_audit(run, POLICY, size=100)
    append_decisions(run, honest_verdicts(sample, wrong))
    found = calibrate_audit(run, sample, POLICY, load_decisions(run))
    write_calibration(run, POLICY, found)
    assert [promise.threshold for promise in found.promises] == [None, None, None]
    with pytest.raises(ConfigError, match=r"no threshold of this run qualifies .*0.000 could be"):
        curate_run(run, replace(POLICY, min_precision=0.9))


def test_other_annotations_are_refused(tmp_path: Path) -> None:
    rows = [make_annotation(record_id=f"a/{n}") for n in range(3)]
    run = folder_run(tmp_path / "a", rows, more_units=[1])
    loose = FilterPolicy(name="all")
    sample = draw_audit(run, loose, size=3)
    verdicts = [
        make_decision(
            decision_id=one.record_id, record_id=one.record_id, verdict=Verdict.KEEP, xyxy=None
        )
        for one in sample.drawn
    ]
    found = calibrate_audit(run, sample, loose, verdicts)
    write_calibration(run, loose, found)
    commit_rows(run, 1, [make_annotation(record_id="a/9")])
    with pytest.raises(ConfigError, match=r"drawn from other annotations \(teacher fake@0\)"):
        calibrate_audit(run, sample, loose, verdicts)
    with pytest.raises(ConfigError, match=r"was made of other annotations"):
        read_calibration(run, loose)


def test_a_stricter_policy_is_counted_again_and_a_looser_one_refused(
    world: tuple[RunStore, dict[str, bool]],
) -> None:
    run, truth = world
    sample = draw_audit(run, POLICY, size=400)
    strict = replace(POLICY, score_threshold=0.6, drop_words=("tree",), min_boxes=2)
    found = calibrated(world, sample, policy=strict)
    assert found.policy_id == strict.policy_id
    stats = ensure_curated(run, strict)
    assert found.population == stats.boxes_out["teacher"]
    kept = {box.box_id for record in iter_curated(run, strict.policy_id) for box in record.boxes}
    stay = [one for one in sample.drawn if one.box_id in kept]
    assert found.drawn == len(stay) < 400
    assert found.right == sum(truth[one.box_id] for one in stay)
    for looser in (replace(POLICY, score_threshold=0.45), FilterPolicy(name="all")):
        with pytest.raises(ConfigError, match=r"it is not stricter, draw an audit of its own"):
            calibrated(world, sample, policy=looser)
    banded = draw_audit(run, POLICY, size=100, strata=("score",))
    with pytest.raises(ConfigError, match=r"is stratified for policy sim@"):
        calibrated(world, banded, policy=strict)


def test_labels_without_a_verdict_stop_it_or_count_as_wrong(
    world: tuple[RunStore, dict[str, bool]],
) -> None:
    run, truth = world
    sample = draw_audit(run, POLICY, size=50)
    some = honest_verdicts(sample, truth)[:40]
    with pytest.raises(ConfigError, match=r"10 of 50 drawn labels have no verdict yet"):
        calibrate_audit(run, sample, POLICY, some)
    carried = [replace(one, carried_from="old") for one in honest_verdicts(sample, truth)[40:47]]
    with pytest.raises(ConfigError, match=r"10 of 50 .*-is-wrong\. 7 have one of another run \(--"):
        calibrate_audit(run, sample, POLICY, [*some, *carried])
    found = calibrate_audit(run, sample, POLICY, [*some, *carried], missing_is_wrong=True)
    assert (found.drawn, found.missing) == (50, 10)
    assert found.right == sum(truth[one.box_id] for one in sample.drawn[:40])
    # what people decided about other boxes plays no part
    drawn = {one.box_id for one in sample.drawn}
    undrawn = next(box_id for box_id in truth if box_id not in drawn)
    other = [make_decision(decision_id="x", box_id=undrawn, verdict=Verdict.DROP)]
    assert judge(sample.drawn, other).truths == (Truth.MISSING,) * 50


def test_two_reviewers_must_agree(world: tuple[RunStore, dict[str, bool]]) -> None:
    run, truth = world
    sample = draw_audit(run, POLICY, size=30)
    first = honest_verdicts(sample, truth)
    second = [replace(one, decision_id=f"s{one.decision_id}", reviewer="bob") for one in first[:10]]
    found = calibrate_audit(run, sample, POLICY, [*first, *second])
    assert (found.twice, found.agreement) == (10, 1.0)
    flipped = replace(
        second[0],
        decision_id="flip",
        verdict=Verdict.DROP if second[0].verdict == Verdict.KEEP else Verdict.KEEP,
        decided_at="2026-01-02T00:00:00.000000Z",
    )
    with pytest.raises(ConfigError, match=r"1 drawn labels are disputed between reviewers"):
        calibrate_audit(run, sample, POLICY, [*first, *second, flipped])


def test_the_map_of_scores_is_monotone_and_reliability_is_shown(
    world: tuple[RunStore, dict[str, bool]],
) -> None:
    run, _ = world
    found = calibrated(world, draw_audit(run, POLICY, size=600))
    assert list(found.probabilities) == sorted(found.probabilities)
    assert found.probabilities[0] < found.probabilities[-1]
    assert sum(one.drawn for one in found.reliability) == 600
    assert 0 < (found.calibration_error or 0) < 0.3
    assert {one.noun for one in found.classes} == {"dog", "cat", "tree"}


def test_decisions_of_the_run_are_what_counts(tmp_path: Path) -> None:
    from jobs.commands.curate import audit, calibrate

    run, truth = simulated_run(tmp_path / "run", rows=200)
    policy = tmp_path / "p.json"
    policy.write_text('{"name": "sim", "score_threshold": 0.5}')
    assert audit.run(audit.Config(run=run.uri, policy=str(policy), size=120)) == 0
    append_decisions(run, honest_verdicts(find_audit(run), truth))
    assert calibrate.run(calibrate.Config(run=run.uri, policy=str(policy))) == 0
    found = read_calibration(run, POLICY)
    assert found is not None
    assert found.drawn == 120
    page = Path(calibration_path(run, POLICY)).with_suffix(".html").read_text()
    assert page.count("<svg") == 2


@pytest.mark.parametrize(
    "size, strata, verdict, promised",
    [
        (300, (), True, [0.5, 0.5, 0.5]),
        (300, (), False, [None, None, None]),
        (1, (), True, [None, None, None]),
        (1, ("score", "phrase"), True, [None, None, None]),
        (6, ("score",), True, [None, None, None]),
        (10**6, (), True, [0.5, 0.5, 0.5]),  # all labels: nothing is left to chance
    ],
)
def test_audits_that_are_tiny_whole_or_of_one_voice(
    world: tuple[RunStore, dict[str, bool]],
    size: int,
    strata: tuple[str, ...],
    verdict: bool,
    promised: list[float | None],
) -> None:
    run, truth = world
    sample = draw_audit(run, POLICY, size=size, strata=strata)
    verdicts = honest_verdicts(sample, dict.fromkeys(truth, verdict))
    found = calibrate_audit(run, sample, POLICY, verdicts)
    assert [one.threshold for one in found.promises] == promised
    assert found.curve[-1].precision == float(verdict)
    assert all(0 <= chance <= 1 for chance in found.probabilities)
