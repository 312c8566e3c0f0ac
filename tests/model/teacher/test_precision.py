from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.config import get_preset
from model.files.directory import save_pretrained
from model.network.glip import Glip
from model.teacher import precision
from model.teacher.load import load_teacher, teacher_identity
from model.teacher.options import TeacherOptions
from model.teacher.precision import (
    BFLOAT16_PRESETS,
    SCORE_TOLERANCE,
    SHIFT_TOLERANCE_PX,
    settle_precision,
)
from tests.model.official_tables import GOLDEN
from tests.parity.detections import compare_answers
from tests.parity.fixture import Fixture
from tests.parity.forward import detect, fixture_inputs
from tests.parity.weights import recipe_model

AUTO = TeacherOptions(precision="auto")
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("preset", "device", "has", "expected"),
    [
        ("glip-t", "cpu", True, "bfloat16"),
        ("glip-t", "cpu", False, "float32"),
        ("glip-t", "cuda", True, "float32"),
        ("glip-l", "cpu", True, "float32"),  # its detections move too far
        ("glip-nano", "cpu", True, "float32"),  # no faster
        ("grounding-dino", "cpu", True, "float32"),
    ],
)
def test_auto_is_bfloat16_where_it_is_faster_and_finds_the_same(preset, device, has, expected):
    settled = settle_precision(AUTO, preset, torch.device(device), has_bfloat16=lambda: has)
    assert settled.precision == expected


def test_a_format_that_was_asked_for_stays():
    options = TeacherOptions(precision="float16")
    assert settle_precision(options, "glip-t", CPU, has_bfloat16=lambda: True) is options


@pytest.mark.parametrize("has", [True, False])
def test_the_fingerprint_names_what_was_used(
    has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(precision, "BFLOAT16_PRESETS", frozenset({"glip-toy"}))
    monkeypatch.setattr(settle_precision, "__kwdefaults__", {"has_bfloat16": lambda: has})
    torch.manual_seed(0)
    directory = save_pretrained(Glip(get_preset("glip-toy")), tmp_path / "toy")
    teacher = load_teacher(directory, device="cpu", options=AUTO)
    _, identity = teacher_identity(directory, device="cpu", options=AUTO)
    assert identity == teacher.fingerprint()
    assert identity["options"]["precision"] == ("bfloat16" if has else "float32")  # type: ignore[index]


@pytest.mark.slow
def test_bfloat16_stays_within_the_stated_tolerance_of_the_recorded_detections():
    fixture = Fixture.read(GOLDEN / "glip_t.ground_coffee.npz")
    assert fixture.preset in BFLOAT16_PRESETS
    model = recipe_model(get_preset(fixture.preset))
    best = {}
    with torch.inference_mode():
        pixels, tokens = fixture_inputs(fixture, model)
        for dtype in (torch.float32, torch.bfloat16):
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                (found,) = detect(fixture, model(pixels, tokens))
            best[dtype] = found.best_scores_L.float()
    difference = (best[torch.bfloat16] - best[torch.float32]).abs().max()
    assert 0 < float(difference) < SCORE_TOLERANCE
    assert compare_answers(fixture, 0, found).shift_px < SHIFT_TOLERANCE_PX
