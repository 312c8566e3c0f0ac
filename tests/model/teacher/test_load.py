from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import model.teacher.load as teacher_files
from model.config import get_preset
from model.files.directory import save_pretrained
from model.files.pretrained import load_pretrained
from model.files.shipped import shipped_nano
from model.inputs.tokenizer import directory_tokenizer
from model.interop.processor import GlipProcessor
from model.network.glip import Glip
from model.teacher.load import content_hash, load_teacher, torch_device
from model.teacher.options import PostprocessOptions, TeacherOptions
from schemas.errors import ConfigError, MissingDependency
from schemas.grounder import GroundingRequest
from schemas.records import Phrase

CAPTION = "a red dog and a blue cat"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = Glip(get_preset("glip-toy"))
    with torch.no_grad():
        network.head.bias0.fill_(-1.0)  # untrained, but with something to find
    return save_pretrained(network, tmp_path_factory.mktemp("toy"))


def _request(height: int, width: int, caption: str = CAPTION) -> GroundingRequest:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    spans = [(0, 9), (14, 24)]
    phrases = tuple(Phrase(text=caption[a:b], start=a, end=b) for a, b in spans)
    return GroundingRequest(image=image, caption=caption, phrases=phrases)


def test_no_directory_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a model directory.*glipforge convert"):
        load_teacher(tmp_path)


@pytest.mark.parametrize(
    "word, said",
    [
        ("glip_t_c", "did you mean glip-t-c[?]"),
        ("GLIP-L", "did you mean glip-l[?]"),
        ("shiped", "did you mean shipped[?]"),
        ("owlv2", "nor one of the names shipped, glip-t.*nor an id of the hub, owner/name"),
    ],
)
def test_a_misspelt_name_is_guessed(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"'{word}' is not a model directory.*{said}"):
        load_teacher(word)


def test_absent_shipped_weights_say_how_to_get_a_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.files.shipped.SHIPPED_NANO", tmp_path)
    with pytest.raises(MissingDependency, match="no shipped glip-nano.*glipforge pretrain"):
        load_teacher()


@pytest.mark.parametrize(
    "name, message",
    [
        ("tpu9", "got 'tpu9'"),
        ("cuda:77", "CUDA devices"),
        ("meta", "device 'meta' is not here"),
        ("xpu:5", "device 'xpu:5' is not here"),
    ],
)
def test_an_unknown_device_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        torch_device(name)


def test_the_identity_is_preset_and_content(toy: Path, tmp_path: Path) -> None:
    teacher = load_teacher(toy, device="cpu")
    assert teacher.teacher_id == f"glip-toy@{content_hash(toy)[:12]}"
    assert teacher.note == ""
    other = Glip(get_preset("glip-toy"))
    save_pretrained(other, tmp_path)
    assert content_hash(tmp_path) != content_hash(toy)


def test_a_processor_and_a_teacher_of_one_directory_agree(toy: Path) -> None:
    processor = GlipProcessor.from_pretrained(toy)
    image = _request(90, 90).image
    inputs = processor(image, text=CAPTION, phrases=[(0, 9), (14, 24)])
    with torch.inference_mode():
        output = load_pretrained(toy)(inputs.pixels_B3HW, inputs.tokens)
    options = PostprocessOptions(max_per_image=0, max_per_label=50)
    (found,) = processor.post_process_grounded_object_detection(
        output, inputs, threshold=0.1, options=options
    )
    (answer,) = load_teacher(toy, device="cpu").ground([_request(90, 90)])
    assert sorted(found["labels"].tolist()) == sorted(answer.phrase_index.tolist())
    np.testing.assert_allclose(found["scores"], answer.score, atol=1e-5)


def test_a_vocabulary_larger_than_the_model_is_refused(toy: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 30522 entries, its model 100"):
        directory_tokenizer(toy, 100)


def test_answers_of_a_real_network_do_not_depend_on_the_batch(toy: Path) -> None:
    teacher = load_teacher(toy, device="cpu", options=TeacherOptions(batch_size=3))
    requests = [
        _request(90, 90),
        _request(90, 95, CAPTION + " in the long grass of a quiet garden"),
        _request(200, 60),
        _request(1, 3000),
        _request(5, 5),
    ]
    together = teacher.ground(requests)
    for request, answer in zip(requests, together, strict=True):
        (alone,) = teacher.ground([request])
        np.testing.assert_allclose(answer.phrase_best_score, alone.phrase_best_score, atol=1e-5)
        assert len(answer.score) == len(alone.score)
        np.testing.assert_allclose(answer.xyxy, alone.xyxy, atol=0.02)
        assert (answer.phrase_best_score > 0).all()
    assert sum(len(answer.score) for answer in together) > 0


def test_half_precision_answers_are_close(toy: Path) -> None:
    exact = load_teacher(toy, device="cpu")
    rough = load_teacher(toy, device="cpu", options=TeacherOptions(precision="bfloat16"))
    request = _request(90, 90)
    (a,), (b,) = exact.ground([request]), rough.ground([request])
    assert b.xyxy.dtype == np.float32
    np.testing.assert_allclose(a.phrase_best_score, b.phrase_best_score, atol=0.02)


def test_a_long_class_list_runs_the_backbone_once(toy: Path) -> None:
    teacher = load_teacher(toy, device="cpu")
    calls = []
    teacher._model.backbone.register_forward_hook(lambda *_: calls.append(1))
    names = [f"kind {number}" for number in range(120)]
    answer = teacher.detect(_request(90, 90).image, names)
    assert len(calls) == 1
    assert (answer.phrase_best_score > 0).all()


def test_the_identity_needs_no_network(toy: Path) -> None:
    options = TeacherOptions(score_floor=0.2)
    loaded = load_teacher(toy, device="cpu", options=options)
    teacher_id, found = teacher_files.teacher_identity(toy, options=options)
    assert (teacher_id, found) == (loaded.teacher_id, loaded.fingerprint())


def test_shipped_is_a_name_wherever_a_model_is() -> None:
    from model.files.source import resolve_source

    assert resolve_source("shipped") == shipped_nano()
    assert teacher_files.teacher_identity("shipped") == teacher_files.teacher_identity()
    assert "has never seen a photograph" in teacher_files.teacher_note("shipped")


def test_only_the_shipped_weights_are_said_to_have_seen_no_photograph(tmp_path: Path) -> None:
    shutil.copytree(shipped_nano(), tmp_path / "copy")
    assert "has never seen a photograph" in teacher_files.teacher_note(tmp_path / "copy")
    save_pretrained(Glip(get_preset("glip-nano")), tmp_path / "student")
    assert teacher_files.teacher_note(tmp_path / "student") == ""
