from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.trust.queue import make_queue
from pipeline.trust.signals import named_number
from pipeline.trust.suspects import read_queue, write_queue
from pipeline.trust.suspicion import fixed_judge
from schemas.errors import ConfigError
from schemas.records import Decision, Verdict
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.pipeline.trust.planted import (
    PLACES,
    POLICY,
    good,
    planted,
    row,
    share_found,
    write_opinions,
)
from tests.schemas.builders import make_decision


@pytest.mark.parametrize(
    "phrase, number",
    [
        ("a dog", 1),
        ("An apple", 1),
        ("two cats", 2),
        ("the three red birds", 3),
        ("a couple of cups", 2),
        ("4 cars", 4),
        ("2019 cars", 0),  # a year
        ("the dog", 0),
        ("dogs", 0),
        ("", 0),
    ],
)
def test_how_many_a_phrase_names(phrase: str, number: int) -> None:
    assert named_number(phrase) == number


def test_reasons_in_words(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    rows = [row(n, *good(n, dice)) for n in range(40)]
    rival = good(40, dice)
    rival[0] = (0, 0.6, PLACES[0])
    rival[3] = (1, 0.58, PLACES[0])
    huge = good(41, dice)
    huge[0] = (0, 0.8, (0.0, 0.0, 64.0, 48.0))
    lonely = good(42, dice)
    del lonely[2], lonely[4]
    rows += [row(40, *rival), row(41, *huge), row(42, *lonely)]
    run = folder_run(tmp_path, rows)
    found, judge = make_queue(run, POLICY, size=12)
    assert judge.judged == 0
    by_record = {one.record_id: one for one in found[::-1]}
    of_rival = [text for one in found if one.record_id == "q/40" for text in one.queue_reasons]
    assert any("another phrase fits here as well: " in text for text in of_rival)
    assert "larger than such things are in this run: 'a dog'" in by_record["q/41"].queue_reasons[0]
    missing = by_record["q/42"]
    assert (missing.box_id, missing.phrase) == ("", "two cats")
    assert missing.queue_reasons == ("the caption names 2, 1 have a box",)
    scores = [one.queue_score for one in found]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(ConfigError, match="has no queue of policy q@"):
        read_queue(run, POLICY)
    write_queue(run, POLICY, found)
    again = read_queue(run, POLICY)
    assert [one.box_id for one in again] == [one.box_id for one in found]
    assert again[0].queue_reasons == found[0].queue_reasons
    with pytest.raises(ConfigError, match="size must be 1 or more, got 0"):
        make_queue(run, POLICY, size=0)


def test_planted_errors_come_first(tmp_path: Path) -> None:
    rows, wrong = planted(0)
    run = folder_run(tmp_path, rows)
    kept = {
        box.box_id: box.score for one in rows for box in one.boxes if box.score > np.float32(0.4)
    }
    wrong &= set(kept)
    by_score = sorted(kept, key=lambda box_id: kept[box_id])
    found, _ = make_queue(run, POLICY, size=10**6)
    ours = share_found([one.box_id for one in found if one.box_id], wrong, len(kept))
    alone = share_found(by_score, wrong, len(kept))
    perfect = min(1.0, (len(kept) // 10) / len(wrong))
    assert ours >= 2 * alone
    assert ours > 0.6 * perfect
    # With verdicts it learns which signs tell; judged labels do not come again.
    judged = dict(list(kept.items())[::3])
    decisions: list[Decision] = [
        make_decision(
            decision_id=box_id,
            record_id=box_id.partition("#")[0],
            box_id=box_id,
            verdict=Verdict.DROP if box_id in wrong else Verdict.KEEP,
            xyxy=None,
            phrase_index=None,
        )
        for box_id in judged
    ]
    learnt, judge = make_queue(run, POLICY, decisions, size=10**6)
    assert judge.judged == len(judged)
    assert not {one.box_id for one in learnt} & set(judged)
    rest = set(kept) - set(judged)
    after = share_found([one.box_id for one in learnt if one.box_id], wrong & rest, len(rest))
    assert after >= 0.9 * share_found(
        [one.box_id for one in found if one.box_id in rest], wrong & rest, len(rest)
    )


def test_what_clip_does_not_see_is_a_sign(tmp_path: Path) -> None:
    """Errors that nothing else shows: the wrong phrase at a place, no rival, the score as ever."""
    dice = np.random.default_rng(5)
    wrong = {f"q/{n}#0" for n in range(0, 200, 13)}
    rows = [row(n, *good(n, dice)) for n in range(200)]
    run = folder_run(tmp_path, rows)
    kept = [b.box_id for one in rows for b in one.boxes if b.score > np.float32(0.4)]
    before, judge = make_queue(run, POLICY, size=10**6)
    assert judge.columns == ()
    candidates = [box.box_id for one in rows for box in one.boxes]
    seen = [float(dice.normal(0.18 if b in wrong else 0.26, 0.02)) for b in candidates]
    seen[3] = None  # type: ignore[call-overload]  # a crop that CLIP could not read says nothing
    write_opinions(run, "clip", {"cosine": seen, "score": seen})
    after, judge = make_queue(run, POLICY, size=10**6)
    assert judge.columns == ("clip.cosine",)
    shares = [
        share_found([one.box_id for one in found if one.box_id], wrong, len(kept))
        for found in (before, after)
    ]
    assert shares[0] < 0.5 < 0.8 < shares[1]
    first = next(one for one in after if one.box_id in wrong)
    assert first.queue_reasons[0] == "CLIP sees less of 'a dog' here than is usual in this run"


def test_a_layer_that_lacks_units_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    dice = np.random.default_rng(5)
    rows = [row(n, *good(n, dice)) for n in range(4)]
    run = folder_run(tmp_path, rows, more_units=[1])
    write_opinions(run, "clip", {})
    commit_rows(run, 1, [row(9, *good(9, dice))])
    _, judge = make_queue(run, POLICY, size=5)
    assert judge.columns == ()
    assert judge.notes[0].startswith("clip.cosine is not used: layer 'clip' of run")


def test_what_only_the_threshold_took_is_missing(tmp_path: Path) -> None:
    dice = np.random.default_rng(6)
    lost = good(1, dice)
    lost[0] = (0, 0.38, PLACES[0])  # the dog, just below 0.4
    hopeless = good(2, dice)
    hopeless[0] = (0, 0.15, PLACES[0])
    run = folder_run(tmp_path, [row(0, *good(0, dice)), row(1, *lost), row(2, *hopeless)])
    found, _ = make_queue(run, POLICY, size=100)
    absent = {one.record_id: one for one in found if not one.box_id}
    assert absent.keys() == {"q/1"}
    assert absent["q/1"].phrase == "a dog"
    assert absent["q/1"].queue_reasons == (
        "the caption names it and nothing is boxed; the best candidate scores 0.38",
    )
    # A phrase that a rule took is not missing.
    without = replace(POLICY, drop_words=("dog",))
    found, _ = make_queue(run, without, size=100)
    assert [one for one in found if not one.box_id] == []


def test_too_few_verdicts_teach_nothing(tmp_path: Path) -> None:
    rows, _ = planted(1, rows=30)
    run = folder_run(tmp_path, rows)
    few = [make_decision(record_id="q/0", box_id="q/0#0", verdict=Verdict.DROP, xyxy=None)]
    found, judge = make_queue(run, replace(POLICY, name="other"), few, size=5)
    assert judge.judged == fixed_judge().judged == 0
    assert len(found) == 5
