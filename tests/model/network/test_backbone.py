from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.config import get_preset
from model.losses.glip_loss import GlipLoss, GroundingTarget
from model.network.backbone import build_backbone
from model.network.glip import Glip
from model.outputs import TokenBatch
from schemas.errors import ConfigError

VIT = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": 64}
SMALL = [
    ("resnet18", {}),
    ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}),
    ("vit_tiny_patch16_224", VIT),
    ("vit_small_patch14_dinov2", {**VIT, "img_size": 56}),
    ("swin_tiny_patch4_window7_224", {"embed_dim": 24, "depths": (1, 1, 1, 1)}),
]


def _config(backbone: str, **options):
    return replace(get_preset("glip-toy"), backbone=backbone, backbone_options=options)


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_maps_have_strides_8_16_32_rounded_up(name, options):
    backbone = build_backbone(_config(name, **options)).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 96, 160))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (channels, *size)
        for channels, size in zip(backbone.out_channels, [(12, 20), (6, 10), (3, 5)], strict=True)
    ]


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_a_few_steps_lower_the_loss(name, options):
    torch.manual_seed(0)
    model = Glip(_config(name, **options)).train()
    pixels = torch.randn(2, 3, 64, 64)
    tokens = TokenBatch(torch.tensor([[101, 7, 8, 102]] * 2), torch.ones(2, 4, dtype=torch.int64))
    target = GroundingTarget(
        torch.tensor([[4.0, 4.0, 60.0, 60.0]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(6):
        loss = GlipLoss()(model(pixels, tokens), [target] * 2, tokens.attention_mask_BT).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    missing = [name for name, p in model.backbone.named_parameters() if p.grad is None]
    assert all("layer1" not in name for name in missing)


def test_unknown_architectures_name_their_neighbours():
    with pytest.raises(ConfigError, match="no architecture 'resnet17'; see timm.list_models"):
        build_backbone(_config("resnet17"))
    with pytest.raises(ConfigError, match="no architecture 'convnext_tini'; near it: convnext"):
        build_backbone(_config("convnext_tini"))


def test_unknown_options_are_named():
    with pytest.raises(ConfigError, match="backbone 'resnet18': .*'nonsense'"):
        build_backbone(_config("resnet18", nonsense=1))


def test_a_missing_stride_is_named():
    config = replace(_config("resnet18"), num_backbone_levels=4)
    with pytest.raises(ConfigError, match=r"strides \[2, 4, 8, 16, 32\], not of stride 64"):
        build_backbone(config)


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("resnet", {}),
        ("resnet", {"block": "Nope", "layers": [1, 1, 1, 1]}),
        ("swin", {"embed_dim": 16}),
        ("vit_tiny_patch16_224", {"depth": 2}),
    ],
)
def test_options_that_a_backbone_does_not_take_are_named(backbone, options):
    config = replace(get_preset("glip-nano"), backbone=backbone, backbone_options=options)
    with pytest.raises(ConfigError, match=f"backbone '{backbone}' cannot be built with the back"):
        build_backbone(config)
