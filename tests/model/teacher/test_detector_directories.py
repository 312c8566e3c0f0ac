"""Directories of detectors: what names them, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from model.teacher.load import load_teacher, teacher_identity
from model.teacher.options import TeacherOptions
from schemas.errors import ConfigError
from tests.model.teacher.detector_cases import (
    WORDS,
    noise_image,
    teacher_of,
)
from tests.model.teacher.tiny_detectors import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_needs_no_network(kind: str, directories: dict[str, Path]) -> None:
    options = TeacherOptions(score_floor=0.2)
    loaded = load_teacher(directories[kind], device="cpu", options=options)
    identity = teacher_identity(directories[kind], options=options)
    assert (identity[0], identity[1]) == (loaded.teacher_id, loaded.fingerprint())
    assert loaded.teacher_id.startswith(f"{kind}@")
    assert 0 < loaded.scores.recommended_threshold < 1
    json.dumps(identity[1], allow_nan=False)


@pytest.mark.parametrize("name", ["tokenizer.json", "processor_config.json", "config.json"])
def test_every_file_that_is_read_changes_the_identity(
    name: str, directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["owlv2"], tmp_path / "other")
    path = tmp_path / "other" / name
    path.write_text(path.read_text() + "\n")
    assert teacher_identity(tmp_path / "other")[0] != teacher_identity(directories["owlv2"])[0]


def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    config = {"model_type": "rex-omni", "auto_map": {"AutoModel": "modeling_rex.Rex"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "modeling_rex.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ConfigError, match="trust_remote_code: 'rex-omni'.*run code of its repos"):
        load_teacher(tmp_path, device="cpu")


def test_a_model_that_cannot_teach_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "florence2"}')
    with pytest.raises(ConfigError, match="one of glip, grounding-dino, .*, got 'florence2'"):
        load_teacher(tmp_path, device="cpu")


def test_weights_that_may_hold_code_are_not_read(
    directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["owlvit"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"no \*.safetensors; .*may hold code"):
        load_teacher(tmp_path / "m", device="cpu")


def test_weights_that_do_not_fit_are_named(directories: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(directories["owlv2"], tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    state = load_file(path)
    del state["box_head.dense0.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"1 tensor is missing, first box_head.dense0.weight"):
        load_teacher(tmp_path / "m", device="cpu")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match="cannot be read as OWLv2"):
        load_teacher(tmp_path / "m", device="cpu")


@pytest.mark.parametrize(
    "names, message",
    [
        (("tokenizer.json", "tokenizer_config.json"), "has no tokenizer of OWLv2"),
        (("processor_config.json",), "has no image processor of OWLv2"),
    ],
)
def test_missing_files_are_named(
    names: tuple[str, ...], message: str, directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["owlv2"], tmp_path / "m")
    for name in names:
        (tmp_path / "m" / name).unlink()
    with pytest.raises(ConfigError, match=message):
        load_teacher(tmp_path / "m", device="cpu")


def test_another_vocabulary_than_berts_is_refused(
    directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["grounding-dino"], tmp_path / "m")
    path = tmp_path / "m" / "tokenizer.json"
    raw = json.loads(path.read_text())
    vocab = raw["model"]["vocab"]
    vocab["."], vocab[","] = vocab[","], vocab["."]
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match=r"'\.' at 1010; Grounding DINO needs bert-base-uncased"):
        load_teacher(tmp_path / "m", device="cpu")


def test_a_fixed_input_size_cannot_be_changed(directories: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="min_size and max_size .* its input is 64 x 64 pixels"):
        teacher_of(directories["owlv2"], min_size=320)
    larger = teacher_of(directories["grounding-dino"], min_size=96, max_size=200)
    assert larger.size_key((100, 100)) == (96, 96)


@pytest.mark.parametrize("kind", WORDS)
def test_words_that_the_vocabulary_lacks_are_not_asked(
    kind: str, directories: dict[str, Path]
) -> None:
    teacher = teacher_of(directories[kind], score_floor=0.0)
    answer = teacher.detect(noise_image(64, 64), ["狗", "dog", "(x)"])
    assert [status.value for status in answer.phrase_status] == ["truncated", "ok", "truncated"]
