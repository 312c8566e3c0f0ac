"""A teacher that gold shows to be worse than required labels nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from jobs.commands.label.label import label
from jobs.labelling.gate import Gate, TeacherRefused
from jobs.labelling.running import Running
from jobs.labelling.setup import Tools
from jobs.ray_session import ray_session
from pipeline.labelling.annotate_unit import aspect_key
from schemas.errors import ConfigError
from schemas.grounder import ScoreFacts
from tests.fakes import FakeParser
from tests.jobs.fake_label import FakeSetup, write_corpus
from tests.jobs.toy_run import draw_picture, write_gold
from tests.pipeline.evaluation.test_teacher import ColourTeacher

LOCAL = Running(runner="local", cpus_per_worker=1)


@dataclass(frozen=True, kw_only=True)
class ColourSetup(FakeSetup):
    """Labels with a teacher that knows colours, or confuses them."""

    swapped: bool = False
    loads: list[str] | None = None

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"teacher": {"weights": f"colours-{self.swapped}"}}

    def teacher_id(self) -> str:
        return "colours@0"

    def scores(self) -> ScoreFacts:
        return ScoreFacts(recommended_threshold=0.6, meaning="by colour")

    def load(self) -> Tools:
        if self.loads is not None:
            self.loads.append("teacher")
        teacher = ColourTeacher(swapped=self.swapped)
        return Tools(grounder=Named(teacher), parser=FakeParser(), size_key=aspect_key)


class Named:
    """What a worker wants of a teacher beside answers."""

    def __init__(self, teacher: ColourTeacher) -> None:
        self.teacher_id, self.ground = teacher.teacher_id, teacher.ground
        self._weights = f"colours-{teacher.swapped}"

    def fingerprint(self) -> dict[str, Any]:
        return {"weights": self._weights}


@pytest.fixture
def gold(tmp_path: Path) -> str:
    for number in range(3):
        draw_picture(tmp_path / "images" / f"{number}.png")
    return write_gold(tmp_path)


def test_a_good_teacher_passes_and_is_asked_once(
    gold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loads: list[str] = []
    setup = ColourSetup(corpus=write_corpus(tmp_path / "corpus", 1), loads=loads)
    gate = Gate(require_precision=0.5, audit_gold=gold)
    out = tmp_path / "out"
    assert label(setup, str(out), 8, LOCAL, gate) == 0
    assert (
        "gate     precision 1.000 (0.541 to 1.000 at confidence 0.95; 6 of 6 labels of policy "
        in (shown := capsys.readouterr().out)
    )
    assert "recommended@" in shown
    said = json.loads((out / "run.json").read_text())["gate"]
    assert (said["right"], said["labels"], said["asked"]["images"]) == (6, 6, 500)
    assert len(loads) == 2  # for gold, and to label
    assert label(setup, str(out), 8, LOCAL, gate) == 0
    assert len(loads) == 2
    # Another question is asked again; of the same answer more may be required.
    with pytest.raises(
        TeacherRefused, match=r"require_precision 0.9: .* the interval begins below that; "
    ):
        label(setup, str(out), 8, LOCAL, replace(gate, require_precision=0.9))
    assert len(loads) == 2


def test_a_worse_teacher_labels_nothing(gold: str, tmp_path: Path) -> None:
    setup = ColourSetup(corpus=write_corpus(tmp_path / "corpus", 1), swapped=True)
    gate = Gate(require_precision=0.8, audit_gold=gold)
    with pytest.raises(
        TeacherRefused,
        match=r"require_precision 0.8: teacher colours@0 has precision 0.000 \(0.000 to 0.459 .*"
        r"it is worse; take another teacher, or a stricter --audit-policy. Nothing was labelled",
    ):
        label(setup, str(tmp_path / "runs" / "out"), 8, LOCAL, gate)
    assert not (tmp_path / "runs").exists(), "nothing is written, not even a folder"
    (tmp_path / "out").mkdir()
    few = Gate(require_precision=0.8, audit_gold=gold, audit_policy="strict-review")
    with pytest.raises(TeacherRefused, match=r"no label that gold 'gold' can judge on 3 images"):
        label(setup, str(tmp_path / "out"), 8, LOCAL, few)
    assert list((tmp_path / "out").iterdir()) == [], "a folder that was there stays"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"require_precision": 1.0}, r"require_precision must be at least 0 and below 1, got 1.0"),
        ({"require_precision": 0.8}, r"require_precision and audit_gold go together.*0.8 and ''"),
        ({"audit_gold": "x.json"}, r"go together: .*; got 0.0 and 'x.json'"),
        (
            {"require_precision": 0.8, "audit_gold": "x.json", "audit_images": -1},
            r"audit_images must be 0 or more, got -1",
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Gate(**options)


@pytest.mark.slow
@pytest.mark.ray
def test_with_ray_a_worker_is_asked(
    gold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = ColourSetup(corpus=write_corpus(tmp_path / "corpus", 1), swapped=True)
    gate = Gate(require_precision=0.8, audit_gold=gold)
    policy = tmp_path / "sure.json"
    policy.write_text('{"name": "sure", "min_precision": 0.9}')
    unknown = replace(gate, audit_policy=str(policy))
    out, ray = str(tmp_path / "out"), Running(workers=1, cpus_per_worker=1)
    with ray_session(num_cpus=1):
        with pytest.raises(TeacherRefused, match=r"it is worse"):
            label(setup, out, 8, ray, gate)
        with pytest.raises(ConfigError, match=r"policy 'sure' asks for min_precision"):
            label(setup, out, 8, ray, unknown)
