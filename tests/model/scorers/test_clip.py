"""CLIP and SigLIP: the library's own numbers, whatever is asked together; traps of its calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.scorers.clip import ContrastiveScorer, crop
from model.scorers.load import load_scorer, scorer_directory, scorer_fingerprint
from schemas.errors import ConfigError, MissingDependency
from schemas.layer import LayerRequest
from tests.model.scorers.tiny_scorers import write_scorer

CPU = torch.device("cpu")
ALL = ("clip", "clip_image", "embeddings", "region_embeddings")
BOXES = np.array([[4, 6, 24, 30], [36, 10, 60, 40], [0, 0, 3, 40]], np.float32)
PHRASES = ("a red box", "blue", "thing")


@pytest.fixture(scope="module", params=["clip", "siglip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scorer(request.param, tmp_path_factory.mktemp(request.param))


def request(seed: int = 0, count: int = 3) -> LayerRequest:
    random = np.random.default_rng(seed)
    return LayerRequest(
        image=random.integers(0, 255, (48, 64, 3), dtype=np.uint8),
        caption="a red box and blue",
        boxes=BOXES[:count],
        phrases=PHRASES[:count],
    )


def load(folder: Path, batch_size: int = 8) -> ContrastiveScorer:
    found = load_scorer(folder, device=CPU, batch_size=batch_size)
    assert isinstance(found, ContrastiveScorer)
    return found


def test_scores_are_those_of_the_librarys_own_forward(folder: Path) -> None:
    from PIL import Image
    from transformers import AutoModel, AutoProcessor

    model: Any = AutoModel.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    one = request()
    crops = [Image.fromarray(crop(one.image, box)) for box in one.boxes]
    padding = (
        {"padding": True}
        if model.config.model_type == "clip"
        else {
            "padding": "max_length",
            "max_length": 64,
        }
    )
    given = processor(text=list(PHRASES), images=crops, return_tensors="pt", **padding)
    if model.config.model_type != "clip":
        given.pop("attention_mask", None)
    with torch.inference_mode():
        logits = model(**given).logits_per_image.diagonal()
    (answer,) = load(folder).score([one], ALL)
    cosine = np.array(answer["clip"]["cosine"])
    if model.config.model_type == "clip":
        np.testing.assert_allclose(cosine * model.logit_scale.exp().item(), logits, atol=1e-3)
        expected = np.clip(2.5 * cosine, 0, 1)
    else:
        expected = torch.sigmoid(logits).numpy()
    np.testing.assert_allclose(answer["clip"]["score"], expected, atol=1e-5)


def test_what_is_asked_together_changes_nothing(folder: Path) -> None:
    requests = [request(0), request(1, 0), request(2, 2)]
    together = load(folder, batch_size=3).score(requests, ALL)
    for one, answer in zip(requests, together, strict=True):
        (alone,) = load(folder, batch_size=32).score([one], ALL)
        for layer in ALL:
            for column, values in answer[layer].items():
                np.testing.assert_allclose(values, alone[layer][column], atol=1e-5)
        assert len(answer["clip"]["score"]) == len(one.boxes)
        assert len(answer["embeddings"]["vector"]) == 1


def test_out_of_memory_halves_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request(0), request(1)]
    want = load(folder, batch_size=8).score(requests, ("embeddings", "region_embeddings"))
    scorer = load(folder, batch_size=8)
    ask, sizes = scorer._model.get_image_features, []

    def limited(pixel_values: torch.Tensor, **given: Any) -> Any:
        sizes.append(len(pixel_values))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ask(pixel_values=pixel_values, **given)

    monkeypatch.setattr(scorer._model, "get_image_features", limited)
    found = scorer.score(requests, ("embeddings", "region_embeddings"))
    assert sizes == [8, 4, 2, 2, 2, 2]
    for one, other in zip(found, want, strict=True):
        for layer in ("embeddings", "region_embeddings"):
            np.testing.assert_allclose(one[layer]["vector"], other[layer]["vector"], atol=1e-5)


def test_only_what_is_wanted_is_made(folder: Path) -> None:
    (answer,) = load(folder).score([request()], ("region_embeddings",))
    assert list(answer) == ["region_embeddings"]
    norms = np.linalg.norm(answer["region_embeddings"]["vector"], axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)


def test_long_and_empty_texts_are_read(folder: Path) -> None:
    vectors = load(folder).embed_texts(["x" * 5_000, "", "x" * 5_000])
    assert vectors.shape[0] == 3
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_an_image_three_pixels_high_is_not_taken_for_channels_first(folder: Path) -> None:
    flat = np.zeros((3, 40, 3), np.uint8)
    flat[..., 0] = 200
    tall = np.zeros((40, 40, 3), np.uint8)
    tall[..., 0] = 200
    one, two = load(folder).embed_images([flat, tall])
    np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("xyxy", [(0, 0, 0.2, 0.2), (63.5, 47.5, 64, 48), (-0.4, -0.2, 64.3, 48)])
def test_a_crop_is_never_empty(xyxy: tuple[float, ...]) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    assert min(crop(image, np.array(xyxy, np.float32)).shape) >= 1


def test_the_fingerprint_is_known_before_loading(folder: Path) -> None:
    assert dict(load(folder).fingerprint()) == dict(scorer_fingerprint(folder, prompt="{}"))


def test_other_weights_have_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    kind = str(scorer_fingerprint(folder, prompt="{}")["model_type"])
    other = write_scorer(kind, tmp_path, seed=1)
    assert (
        scorer_fingerprint(other, prompt="{}")["model"]
        != scorer_fingerprint(folder, prompt="{}")["model"]
    )


def test_directories_that_cannot_score(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model: .* is not a model directory"):
        scorer_directory(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "blip"}')
    with pytest.raises(ConfigError, match="model_type must be one of clip, siglip.*got 'blip'"):
        scorer_directory(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "my", "auto_map": {"AutoModel": "x.X"}}')
    with pytest.raises(ConfigError, match="wants trust_remote_code.*It is refused"):
        scorer_directory(str(tmp_path))


def test_a_hub_that_cannot_be_reached_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(MissingDependency, match="cannot be reached.*give --model that DIRECTORY"):
        scorer_directory("acme/tiny-clip-of-nobody")
