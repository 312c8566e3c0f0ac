"""A corpus labelled, filtered and reported with a detector of transformers, as a user would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main
from pipeline.curation.recommended import policy_for
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.trust.population import unit_labels
from pipeline.trust.signals import SIGNS, signals
from pipeline.trust.suspicion import label_keys
from pipeline.trust.usual import NounValues, Usual
from schemas.errors import ConfigError
from schemas.grounder import TOGETHER
from tests.jobs.fake_label import all_rows
from tests.model.teacher.tiny_detectors import write_detector


@pytest.mark.parametrize("kind", ["grounding-dino", "owlv2"])
def test_a_detector_labels_and_its_threshold_is_used(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = write_detector(kind, tmp_path / "teacher")
    corpus, run = tmp_path / "corpus", tmp_path / "run"
    corpus.mkdir()
    for number in range(5):
        shape = (70, 90 + 10 * (number % 2), 3)
        pixels = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(corpus / f"{number}.png")
        (corpus / f"{number}.txt").write_text("a red dog on the grass")
    args = ["label", "--corpus", str(corpus), "--out", str(run), "--runner", "local"]
    args += ["--teacher", str(teacher), "--device", "cpu", "--score-floor", "0.01"]
    assert main(args) == 0
    rows = all_rows(run)
    assert len(rows) == 5
    assert {row.status for row in rows} == {"ok"}
    assert rows[0].teacher_id.startswith(f"{kind}@")
    for row in rows:
        for box in row.boxes:
            assert box.token_score == box.score
            assert box.centerness == 1
    info = json.loads((run / "run.json").read_text())
    recommended = {"grounding-dino": 0.35, "owlv2": 0.3}[kind]
    assert info["scores"]["recommended_threshold"] == recommended
    capsys.readouterr()

    assert main(["filter", str(run)]) == 0
    assert f"the teacher of this run recommends {recommended}" in capsys.readouterr().out
    assert main(["filter", str(run), "--policy", "recommended"]) == 0
    assert "policy recommended@" in capsys.readouterr().out
    store = RunStore(str(run))
    assert policy_for(store, "recommended").score_threshold == recommended
    own = tmp_path / "own.json"
    own.write_text('{"name": "own", "base": "glip", "score_threshold": "recommended"}')
    assert policy_for(store, str(own)).score_threshold == recommended
    assert main(["report", str(run), "--policy", "recommended", "--pictures", "1"]) == 0
    assert f"Recommended: {recommended}" in (run / "report.html").read_text()

    del info["scores"]
    (run / "run.json").write_text(json.dumps(info))
    with pytest.raises(ConfigError, match=r"run.json does not say what its teacher recommends"):
        policy_for(store, "recommended")
    assert policy_for(store, "default").score_threshold == 0.5


def test_an_ensemble_labels_in_one_pass_and_its_disagreement_is_a_sign(tmp_path: Path) -> None:
    both = [str(write_detector(kind, tmp_path / kind)) for kind in ("grounding-dino", "owlv2")]
    corpus, run = tmp_path / "corpus", tmp_path / "run"
    corpus.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(corpus / f"{number}.png")
    args = ["label", "--corpus", str(corpus), "--out", str(run), "--runner", "local"]
    args += ["--teacher", ",".join(both), "--device", "cpu", "--score-floor", "0.01"]
    assert main([*args, "--names", "animal: dog, cat; tree"]) == 0
    store = RunStore(str(run))
    rows = list(store.iter_annotations())
    ids = set(rows[0].teacher_id.split(TOGETHER))
    assert len(ids) == 2
    nothing = NounValues(mean={}, spread={})
    usual = Usual(size=nothing, clip=nothing)
    share: dict[str, float] = {}
    for commit in store.commits().values():
        for labels in unit_labels(store, FilterPolicy(name="all", score_threshold=0.0), commit):
            found = signals(labels, labels.level.astype(np.float64), usual)
            alone = found.values[:, SIGNS.index("alone")]
            share |= {key[1]: alone[place] for place, key in label_keys(labels)}
    assert share
    by = {box.box_id: box.proposed_by for row in rows for box in row.boxes}
    for box_id, value in share.items():
        assert set(by[box_id].split(TOGETHER)) <= ids
        assert value == 1 - len(by[box_id].split(TOGETHER)) / 2
    assert policy_for(store, "recommended").score_threshold == 0.5
