"""Directories of detectors whose files are there, and say something that no network can do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from model.teacher.detectors.texts import QueryPlanner
from model.teacher.load import load_teacher, teacher_identity
from model.teacher.options import TeacherOptions
from schemas.errors import ConfigError
from tests.model.teacher.detector_cases import noise_image, request_of, teacher_of

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n"


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def _refusal(directory: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load_teacher(directory, device="cpu")
    assert str(directory) in str(raised.value)
    return str(raised.value)


@pytest.fixture
def copy(directories: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(directories[kind], tmp_path / kind))


@pytest.mark.parametrize(
    "kind, change, said",
    [
        ("owlv2", {"do_resize": False}, "the image processor "),
        ("owlvit", {"do_resize": False}, r"makes \[3, 16, 48\] of an image of 48 x 16"),
        ("owlvit", {"do_center_crop": True, "crop_size": 32}, r"makes \[3, 32, 32\]"),
        ("owlvit", {"resample": 99}, "the image processor cannot be used: KeyError"),
        ("grounding-dino", {"image_std": [0, 0, 0]}, "NaN or infinity.*image_std"),
        ("grounding-dino", {"size": {"longest_edge": 64}}, r"got \{'longest_edge': 64\}$"),
        ("owlv2", {"size": {"height": 96, "width": 96}}, "96 x 96 pixels do not fit.* 64 x 64"),
        ("omdet-turbo", {"pad_size": {"height": 99, "width": 99}, "do_pad": True}, r"\[3, 99, 99"),
    ],
)
def test_pixels_that_a_network_cannot_read_are_refused_before_a_run(
    kind: str, change: dict[str, Any], said: str, copy: Callable[[str], Path]
) -> None:
    directory = copy(kind)
    _edit(directory / "processor_config.json", lambda raw: raw["image_processor"].update(change))
    with pytest.raises(ConfigError, match=said) as raised:
        load_teacher(directory, device="cpu")
    assert str(raised.value).startswith(f"{directory}: ")


@pytest.mark.parametrize(
    "kind, change, said",
    [
        ("owlvit", {"quantization_config": {"quant_method": "torchao"}}, "cannot be read"),
        ("owlvit", {"id2label": ["a"]}, "cannot be read"),
        ("grounding-dino", {"num_queries": "many"}, "'num_queries' expected int, got str"),
        ("grounding-dino", {"num_queries": 7}, r"embeddings.weight has shape \[20, 64\], not \[7"),
        ("grounding-dino", {"max_text_len": 3}, "max_text_len .* must be at least 8, got 3"),
        ("omdet-turbo", {"decoder_num_heads": 0}, "cannot be read as OmDet-Turbo"),
    ],
)
def test_a_configuration_that_no_network_has_is_a_sentence(
    kind: str, change: dict[str, Any], said: str, copy: Callable[[str], Path]
) -> None:
    directory = copy(kind)
    _edit(directory / "config.json", lambda raw: raw.update(change))
    with pytest.raises(ConfigError, match=said) as raised:
        load_teacher(directory, device="cpu")
    # Of which option it came nobody knows here: `label` would say --phrases.model.
    assert not str(raised.value).startswith("model: ")


def test_a_backbone_elsewhere_on_the_hub_is_not_fetched(copy: Callable[[str], Path]) -> None:
    directory = copy("omdet-turbo")
    named = {"backbone": "acme/swin", "use_pretrained_backbone": True, "backbone_config": None}
    _edit(directory / "config.json", lambda raw: raw.update(named))
    assert "names another repository of the hub" in _refusal(directory)
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_tokenizer_without_words_or_of_another_network_is_refused(
    copy: Callable[[str], Path], directories: dict[str, Path]
) -> None:
    directory = copy("owlv2")
    words = directory / "tokenizer.json"
    bert = directories["grounding-dino"] / words.name
    shutil.copy(bert, words)
    assert "word pieces up to number 30523, the network 514" in _refusal(directory)
    words.unlink()
    assert "has no tokenizer of OWLv2: one of tokenizer.json, vocab.txt, vocab" in _refusal(
        directory
    )
    with pytest.raises(ConfigError, match="a text must end with the largest of these numbers"):
        QueryPlanner(AutoTokenizer.from_pretrained(bert.parent), 16, vocab_size=30522)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    "text, said", [(POINTER, "`git lfs pull`"), ("", "it is empty"), (" <HTML>", "it is HTML")]
)
def test_what_lies_in_place_of_a_file_is_named_before_anything_is_loaded(
    name: str, text: str, said: str, copy: Callable[[str], Path]
) -> None:
    directory = copy("owlvit")
    (directory / name).write_text(text)
    with pytest.raises(ConfigError, match=f"{name} .*{said}"):
        teacher_identity(directory)


def test_an_adapter_and_shards_that_are_not_there_are_named(copy: Callable[[str], Path]) -> None:
    directory = copy("owlvit")
    (directory / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"an adapter would be put over its weights\. Merge it"):
        teacher_identity(directory)
    (directory / "adapter_config.json").unlink()
    weights = directory / "model.safetensors"
    weights.rename(directory / "model-1.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=r"lacks 1 of its 2 files of weights, first model-2\.saf"):
        teacher_identity(directory)


def test_weights_that_are_none_are_refused(copy: Callable[[str], Path]) -> None:
    directory = copy("owlvit")
    path = directory / "model.safetensors"
    state = load_file(path)
    save_file({n: torch.zeros_like(t) for n, t in state.items()}, path, metadata={"format": "pt"})
    assert "holds zeros alone" in _refusal(directory)
    for dtype, said in ((torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3")):
        save_file({n: t.to(dtype) for n, t in state.items()}, path, metadata={"format": "pt"})
        assert f"is of {said}: quantised weights are not read" in _refusal(directory)


def test_the_frame_is_what_the_image_processor_makes(copy: Callable[[str], Path]) -> None:
    directory = copy("owlv2")
    assert teacher_of(directory)._frame((100, 20)) == (100, 100)
    path = directory / "processor_config.json"
    _edit(
        path, lambda raw: raw["image_processor"].update(image_processor_type="OwlViTImageProcessor")
    )
    assert load_teacher(directory, device="cpu")._frame((100, 20)) == (100, 20)


def test_files_of_older_versions_are_read_alike(
    copy: Callable[[str], Path], directories: dict[str, Path]
) -> None:
    """`preprocessor_config.json`, vocabularies of their own, half precision, shards."""
    directory = copy("owlv2")
    path = directory / "processor_config.json"
    old = json.loads(path.read_text())["image_processor"]
    kind_of = old.pop("image_processor_type")
    old["feature_extractor_type"] = kind_of.replace("ImageProcessor", "FeatureExtractor")
    path.unlink()
    (directory / "preprocessor_config.json").write_text(json.dumps(old))
    state = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    names = sorted(state)
    places: dict[str, str] = {}
    for number, chosen in enumerate((names[::2], names[1::2])):
        file = f"model-{number}.safetensors"
        half = {name: state[name].to(torch.bfloat16) for name in chosen}
        save_file(half, directory / file, metadata={"format": "pt"})
        places |= dict.fromkeys(chosen, file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    _edit(directory / "config.json", lambda raw: (raw.pop("architectures"), raw.pop("dtype")))
    words = json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"]
    (directory / "tokenizer.json").unlink()
    (directory / "vocab.json").write_text(json.dumps(words))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    request = request_of(noise_image(64, 64), "a dog", ((2, 5),))
    options = TeacherOptions(score_floor=0.0)
    (rough,) = load_teacher(directory, device="cpu", options=options).ground([request])
    (exact,) = teacher_of(directories["owlv2"], score_floor=0.0).ground([request])
    assert rough.phrase_best_score[0] == pytest.approx(exact.phrase_best_score[0], abs=0.02)
