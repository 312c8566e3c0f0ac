from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import PRESETS, GlipConfig, TextConfig, get_preset
from model.inputs.preprocess import Preprocessor
from model.interop.processor import GlipProcessor
from model.losses.glip_loss import GlipLoss, GroundingTarget
from model.network.anchors import make_anchors
from model.network.glip import Glip
from model.outputs import TokenBatch
from schemas.errors import ConfigError
from tests.model.unit_tables import unit_arrays


@pytest.fixture(scope="module")
def toy() -> Glip:
    torch.manual_seed(0)
    model = Glip(get_preset("glip-toy")).eval()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def _tokens(*lengths: int) -> TokenBatch:
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for number, length in enumerate(lengths):
        mask[number, :length] = 1
    ids = torch.arange(mask.numel()).view_as(mask) % 90 + 1000
    return TokenBatch(ids * mask, mask)


def _close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_image_encoded_once_serves_every_prompt(toy):
    pixels, tokens = torch.randn(1, 3, 64, 96), _tokens(7)
    levels, text = toy.encode_image(pixels), toy.encode_text(tokens)
    before = [x.clone() for x in (*levels, *text)]
    first, again = toy.predict(levels, text), toy.predict(levels, text)
    whole = toy(pixels, tokens)
    for one, two, three in zip(first[:4], again[:4], whole[:4], strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
    assert all(torch.equal(a, b) for a, b in zip(before, (*levels, *text), strict=True))
    assert first.level_sizes == ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))
    assert first.logits_BNT.shape == (1, 96 + 24 + 6 + 2 + 1, 7)


@torch.no_grad()
@pytest.mark.parametrize("fused", [True, False])
def test_a_batch_of_different_captions_gives_what_each_gives_alone(fused):
    torch.manual_seed(0)
    model = Glip(replace(get_preset("glip-toy"), early_fusion=fused)).eval()
    pixels, tokens = torch.randn(3, 3, 64, 64), _tokens(4, 9, 2)
    together = model(pixels, tokens)
    for number, length in enumerate((4, 9, 2)):
        row = slice(number, number + 1)
        alone = model(pixels[row], TokenBatch(*(x[row, :length] for x in tokens)))
        _close(together.logits_BNT[row, :, :length], alone.logits_BNT)
        _close(together.box_deltas_BN4[row], alone.box_deltas_BN4)


def test_recomputed_activations_give_the_same_gradients():
    torch.manual_seed(0)
    config = replace(
        get_preset("glip-toy"), drop_path=0.0, dropblock=0.0, fusion_dropout=0.0,
        text=replace(get_preset("glip-toy").text, dropout=0.0),
    )  # fmt: skip
    model = Glip(config).train()
    saving = Glip(replace(config, checkpoint_activations=True)).train()
    saving.load_state_dict(model.state_dict())
    pixels, tokens = torch.randn(1, 3, 64, 64), _tokens(5)
    for network in (model, saving):
        network(pixels, tokens).logits_BNT.square().mean().backward()
    for (name, one), other in zip(model.named_parameters(), saving.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, msg=name)


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (32, 640), (96, 32)])
def test_small_and_long_images(toy, size):
    output = toy(torch.randn(1, 3, *size), _tokens(3))
    assert output.logits_BNT.isfinite().all()
    assert len(output.anchors_N4) == sum(h * w for h, w in output.level_sizes)


@torch.no_grad()
def test_half_precision_stays_near(toy):
    pixels, tokens = torch.randn(1, 3, 64, 64), _tokens(6)
    exact = toy(pixels, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        near = toy(pixels, tokens)
    assert (near.logits_BNT - exact.logits_BNT).abs().max() < 0.05 * exact.logits_BNT.abs().max()


def test_anchors_equal_the_reference():
    arrays = unit_arrays()
    sizes = [(int(h), int(w)) for h, w in arrays["anchors/grid"]]
    anchors = make_anchors(sizes, (8, 16, 32, 64, 128))
    assert torch.equal(anchors, torch.from_numpy(arrays["anchors/all"]))


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_survives_json(name):
    config = get_preset(name)
    assert config.preset == name
    assert GlipConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": 0}, "num_layers must be an integer >= 1, at most 64, got 0"),
        ({"num_layers": 10**9}, "num_layers must be an integer >= 1, at most 64, got 1000000000"),
        (
            {"num_extra_levels": 10**7},
            r"num_extra_levels must be an integer in \[0, 8\], got 10000000",
        ),
        (
            {"text": TextConfig(num_layers=10**8)},
            "text.num_layers must be an integer >= 1, at most 256",
        ),
        ({"fusion_dim": 33}, "fusion_dim must be a multiple of fusion_heads 2, got 33"),
        ({"max_tokens": 4}, r"max_tokens must be in \[8, 512\], got 4"),
        ({"dropblock": 1.5}, r"dropblock must be in \[0, 1\), got 1.5"),
        ({"anchor_scale": 0.0}, "anchor_scale must be > 0, at most 1024, got 0.0"),
        ({"min_size": 200}, "min_size must be in .*max_size 128.*, got 200"),
        (
            {"text": TextConfig(hidden_size=30, num_heads=4)},
            "text.hidden_size must be a multiple of text.num_heads 4, got 30",
        ),
    ],
)
def test_impossible_numbers_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(get_preset("glip-toy"), **changes)


def test_a_configuration_that_is_none():
    with pytest.raises(ConfigError, match="unknown preset 'glip-xl'; allowed: glip-t-a, "):
        get_preset("glip-xl")
    with pytest.raises(ConfigError, match=r"config.json is not .* 'backbone'"):
        GlipConfig.from_dict({"preset": "x"})
    with pytest.raises(ConfigError, match="unknown field 'colour'"):
        GlipConfig.from_dict({"colour": 1})


SIZES = ((60, 90), (128, 64), (100, 128), (60, 90))


def _mixed_batch():
    config = replace(get_preset("glip-toy"), mask_padding=True)
    torch.manual_seed(1)
    model = Glip(config).eval()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    processor = GlipProcessor(Preprocessor(min_size=60, max_size=128, divisor=config.size_divisor))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (*size, 3), np.uint8) for size in SIZES]
    texts = ["a dog", "two small birds on a wire", "tree", "a dog"]
    spans = [[(2, 5)], [(4, 15)], [(0, 4)], [(2, 5)]]
    return model, processor, images, texts, spans


@torch.inference_mode()
def test_with_mask_padding_answers_do_not_depend_on_batch_mates():
    model, processor, images, texts, spans = _mixed_batch()
    inputs = processor(images, text=texts, phrases=spans)
    assert len({tuple(size) for size in inputs.sizes_B2.tolist()}) > 1
    together = model(inputs.pixels_B3HW, inputs.tokens, inputs.sizes_B2)
    found = processor.post_process_grounded_object_detection(together, inputs, threshold=0.0)
    for number in range(len(images)):
        single = processor(images[number], text=texts[number], phrases=spans[number])
        output = model(single.pixels_B3HW, single.tokens, single.sizes_B2)
        (alone,) = processor.post_process_grounded_object_detection(output, single, threshold=0.0)
        torch.testing.assert_close(found[number]["scores"], alone["scores"], atol=1e-5, rtol=0)
        torch.testing.assert_close(found[number]["boxes"], alone["boxes"], atol=1e-2, rtol=0)
        assert len(alone["scores"]) > 0


def test_mask_padding_needs_sizes_and_trains():
    model, processor, images, texts, spans = _mixed_batch()
    inputs = processor(images, text=texts, phrases=spans)
    with pytest.raises(ValueError, match="this network has mask_padding: give it sizes_B2"):
        model(inputs.pixels_B3HW, inputs.tokens)
    model.train()
    output = model(inputs.pixels_B3HW, inputs.tokens, inputs.sizes_B2)
    box = torch.tensor([[5.0, 5.0, 40.0, 40.0]])
    targets = [GroundingTarget(box, positive) for positive in inputs.positive_maps]
    parts = GlipLoss()(output, targets, inputs.tokens.attention_mask_BT)
    parts.total.backward()
    assert parts.total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
