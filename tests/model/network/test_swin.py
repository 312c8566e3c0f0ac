from __future__ import annotations

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer

import model.network.swin
from model.network.swin import SwinBackbone, relative_position_index

SIZES = {"embed_dim": 8, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 2, 4], "window_size": 4}


@pytest.fixture(scope="module")
def swin() -> SwinBackbone:
    torch.manual_seed(0)
    backbone = SwinBackbone(**SIZES, drop_path=0.0).eval()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return backbone


@pytest.fixture(scope="module")
def timms() -> SwinTransformer:
    return SwinTransformer(
        img_size=128,
        embed_dim=8,
        depths=(2, 2, 2, 2),
        num_heads=(1, 2, 2, 4),
        window_size=4,
        num_classes=0,
        global_pool="",
    ).eval()


def test_timms_weights_fit_and_mean_the_same_where_no_window_is_padded(swin, timms):
    own = swin.body.state_dict()
    state = timms.state_dict()
    assert {name: t.shape for name, t in state.items() if not name.startswith("norm.")} == {
        name: t.shape for name, t in own.items()
    }
    timms.load_state_dict({**own, "norm.weight": torch.ones(64), "norm.bias": torch.zeros(64)})
    pixels = torch.randn(1, 3, 128, 128)
    x = timms.patch_embed(pixels)
    with torch.no_grad():
        ours = swin.body.patch_embed(pixels)
        # The deepest stage has one window there, which timm does not shift.
        for theirs, stage in zip(timms.layers[:3], swin.body.layers[:3], strict=True):
            x, ours = theirs(x), stage(ours)
            torch.testing.assert_close(ours, x.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (33, 7), (4, 200)])
@pytest.mark.parametrize("chunk_bytes", [1, 3000, 10**9])
def test_parts_give_what_the_whole_gives(swin, monkeypatch, size, chunk_bytes):
    pixels = torch.randn(2, 3, *size)
    before = pixels.clone()
    whole = swin(pixels)
    monkeypatch.setattr(model.network.swin, "CHUNK_BYTES", chunk_bytes)
    with torch.no_grad():
        parts = swin(pixels)
    assert torch.equal(pixels, before)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_position_index_is_the_one_of_timm(timms):
    block = timms.layers[0].blocks[0]
    assert torch.equal(relative_position_index(4), block.attn.relative_position_index)


def test_dropped_paths_act_in_training_alone():
    torch.manual_seed(0)
    backbone = SwinBackbone(**SIZES, drop_path=0.9)
    pixels = torch.randn(1, 3, 64, 64)
    one, other = backbone.eval()(pixels), backbone(pixels)
    assert torch.equal(one[2], other[2])
    one, other = backbone.train()(pixels), backbone(pixels)
    assert not torch.equal(one[2], other[2])
