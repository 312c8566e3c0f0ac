"""The commands of trust on a toy run with gold beside it: two labels right, two swapped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.commands.curate import audit, calibrate, queue
from pipeline.curation.calibration import calibration_path
from pipeline.curation.rules.presets import get_policy
from pipeline.trust.stated import stated_precision
from schemas.errors import ConfigError
from tests.jobs.toy_run import toy_run, write_gold


@pytest.mark.parametrize("detection", [False, True])
def test_gold_calibrates_without_people(
    detection: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = toy_run(tmp_path, monkeypatch)
    policy = get_policy("default")
    assert stated_precision(run, policy) is None
    gold = write_gold(tmp_path, detection=detection)
    config = calibrate.Config(run="RUN", gold=gold, precision=(0.4, 0.9))
    assert calibrate.run(config) == 0
    shown = capsys.readouterr().out
    assert "2 of 4 judged labels are right" in shown
    assert "precision >= 0.4 of these very labels: above score 0.5, 4 labels" in shown
    assert "precision >= 0.9: at no threshold" in shown
    stated = stated_precision(run, policy)
    assert stated is not None
    assert (stated.precision, stated.promised, stated.judged) == (0.5, 0.4, 4)
    assert f"from 4 judged of 4 labels (gold {gold}, gold); at least 0.4" in stated.sentence()
    page = Path(calibration_path(run, policy)).with_suffix(".html").read_text()
    assert "none qualifies" in page
    calibrate.run(calibrate.Config(run="RUN", gold=gold, json=True))
    found = json.loads(capsys.readouterr().out)
    assert found["curve"][-1]["recall"] == pytest.approx(2 / 6)
    with pytest.raises(ConfigError, match=r"give either --audit or --gold"):
        calibrate.run(calibrate.Config(run="RUN", gold=gold, audit="x"))
    with pytest.raises(ConfigError, match=r"precision must be between 0 and 1, got 1.0"):
        calibrate.run(calibrate.Config(run="RUN", gold=gold, precision=(1.0,)))


def test_audit_and_queue_say_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="has no audit; draw one with `glipforge audit RUN`"):
        calibrate.run(calibrate.Config(run="RUN"))
    assert audit.run(audit.Config(run="RUN", size=3)) == 0
    shown = capsys.readouterr().out
    assert "3 of 4 labels of policy default@" in shown
    assert "next: glipforge review push RUN --queue audit" in shown
    with pytest.raises(ConfigError, match=r"strata must be of score, phrase, got 'colour'"):
        audit.run(audit.Config(run="RUN", strata=("score,colour",)))
    with pytest.raises(ConfigError, match=r"3 of 3 drawn labels have no verdict yet"):
        calibrate.run(calibrate.Config(run="RUN"))
    assert queue.run(queue.Config(run="RUN", size=2)) == 0
    shown = capsys.readouterr().out
    assert "fixed weights; written" in shown
    assert "--queue errors" in shown


def test_strata_may_be_typed_with_commas_or_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    said = []
    for typed in (("score,phrase",), ("phrase", "score"), ("phrase, score", "score")):
        assert audit.run(audit.Config(run="RUN", size=2, strata=typed)) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert "nouns" in said[0]
