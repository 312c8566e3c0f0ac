"""Captioners of every kind: tiny random networks, against transformers' own generate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from model.captioners.captioner import Captioner, _without
from model.captioners.load import captioner_directory, captioner_fingerprint, load_captioner
from model.captioners.options import CaptionerOptions
from model.captioners.sampling import SeededNucleus
from schemas.errors import ConfigError, RecordError
from tests.model.captioners.tiny_captioners import KINDS, write_captioner

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("captioners")
    return {kind: write_captioner(kind, place / kind) for kind in KINDS}


def load(directory: Path, **options: object) -> Captioner:
    chosen = {"max_new_tokens": 8, **options}
    return load_captioner(directory, device=CPU, options=CaptionerOptions(**chosen))  # type: ignore[arg-type]


def pictures(count: int = 5) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (30 + 9 * n, 50 - 3 * n, 3), dtype=np.uint8) for n in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_one_caption_is_the_library_s_own(kind: str, directories: dict[str, Path]) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    captioner = load(directories[kind])
    (found,) = captioner.caption(pictures(1))
    model = AutoModelForImageTextToText.from_pretrained(directories[kind]).eval()
    processor = AutoProcessor.from_pretrained(directories[kind])
    text = "<CAPTION>" if kind == "florence2" else None
    inputs = processor(images=[Image.fromarray(pictures(1)[0])], text=text, return_tensors="pt")
    if kind == "git":
        inputs = {"pixel_values": inputs["pixel_values"]}
    ids = model.generate(**inputs, max_new_tokens=8, num_beams=1, do_sample=False)
    said = processor.batch_decode(ids, skip_special_tokens=True)[0]
    assert found == ((_without(said, ""),) if _without(said, "") else ())
    assert captioner.model_id.startswith(f"{kind}@")
    assert captioner.fingerprint() == captioner_fingerprint(
        captioner_directory(str(directories[kind])), CaptionerOptions(max_new_tokens=8)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_captions_do_not_depend_on_the_batch(kind: str, directories: dict[str, Path]) -> None:
    images = pictures()
    together = load(directories[kind], per_image=3, batch_size=5).caption(images)
    alone = load(directories[kind], per_image=3, batch_size=1).caption(images[::-1])[::-1]
    assert together == alone
    assert all(len(set(captions)) == len(captions) for captions in together)
    assert any(len(captions) > 1 for captions in together)
    other = load(directories[kind], per_image=3, seed=7).caption(images)
    assert other != together


def test_out_of_memory_halves_the_batch(directories: dict[str, Path]) -> None:
    want = load(directories["git"], per_image=2, batch_size=5).caption(pictures())
    captioner = load(directories["git"], per_image=2, batch_size=5)
    generate, sizes = captioner._model.generate, []

    def limited(**given: Any) -> Any:
        sizes.append(len(given["pixel_values"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**given)

    with patch.object(captioner._model, "generate", limited):
        assert captioner.caption(pictures()) == want
    assert sizes == [5, 2, 2, 1]


@pytest.mark.parametrize("kind", ["blip", "git", "blip-2"])
def test_the_prompt_is_cut_off(kind: str, directories: dict[str, Path]) -> None:
    plain = load(directories[kind]).caption(pictures(3))
    prompted = load(directories[kind], prompt="A photo  of").caption(pictures(3))
    assert len(prompted) == 3
    for captions in prompted:
        assert not any(text.lower().startswith("a photo of") for text in captions)
    assert plain != prompted


def test_florence_knows_tasks_alone(directories: dict[str, Path]) -> None:
    load(directories["florence2"], prompt="<DETAILED_CAPTION>")
    with pytest.raises(ConfigError, match="prompt must be of <CAPTION>, <DETAILED_CAPTION>,"):
        load(directories["florence2"], prompt="a photo of")


@pytest.mark.parametrize("per_image", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_that_are_no_numbers_are_a_failure(
    kind: str, per_image: int, directories: dict[str, Path]
) -> None:
    captioner = load(directories[kind], per_image=per_image)
    next(captioner._model.parameters()).data.fill_(torch.nan)
    with pytest.raises(RecordError, match="the captioner's scores are NaN or infinite"):
        captioner.caption(pictures(2))


@pytest.mark.parametrize(
    "said, caption",
    [
        ("a dog\n on a\tmat \u2028", "a dog on a mat"),
        ("a \x00dog\x1b[31m\u202e cat\ufffd", "a dog [31m cat"),
        ("A photo of", ""),
        ("A photo of a dog", "a dog"),
        (" ... !", ""),
        ("\U0001f436", ""),
        ("une tasse de café", "une tasse de café"),
    ],
)
def test_what_a_model_says_is_a_line_of_words_or_nothing(said: str, caption: str) -> None:
    assert _without(said, "A photo of") == caption


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(precision: str, directories: dict[str, Path]) -> None:
    assert len(load(directories["blip"], precision=precision).caption(pictures(2))) == 2


def test_beams(directories: dict[str, Path]) -> None:
    assert all(len(c) == 1 for c in load(directories["blip"], beams=3).caption(pictures(2)))


def test_a_word_is_drawn_as_often_as_it_is_likely() -> None:
    likely = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    draws = torch.rand(4000, 1, generator=torch.Generator().manual_seed(0))
    nucleus = SeededNucleus([draws], top_p=0.9, temperature=1.0)
    chosen = nucleus(torch.zeros(4000, 1), likely.log().expand(4000, -1)).argmax(-1)
    shares = torch.bincount(chosen, minlength=5) / 4000
    assert torch.allclose(shares, torch.tensor([0.5, 0, 0.3, 0.15, 0]) / 0.95, atol=0.03)
    with_all = SeededNucleus([torch.tensor([[1 - 1e-8]])], top_p=1.0, temperature=1.0)
    assert with_all(torch.zeros(1, 1), likely.log()[None]).argmax(-1).item() in (0, 2, 3, 4)


@pytest.mark.parametrize(
    "config, said",
    [
        ({"model_type": "clip"}, "model_type must be one of blip, blip-2, git, florence2, got"),
        ({"model_type": "x", "auto_map": {"AutoModel": "a.B"}}, "wants trust_remote_code"),
        (None, "is not a model directory"),
    ],
)
def test_another_model_is_refused(config: dict | None, said: str, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=said):
        captioner_directory(str(tmp_path))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"per_image": 0}, "per_image must be at least 1, got 0"),
        ({"per_image": 3, "beams": 2}, "beams must be 1 where several"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CaptionerOptions(**options)  # type: ignore[arg-type]
