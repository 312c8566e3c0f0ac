from __future__ import annotations

import hashlib
import re

import pytest
import torch

from model.config import get_preset
from model.files.official_names import (
    from_mmdet,
    from_official,
    official_prefixes,
    to_official,
)
from model.files.published import NUM_PARAMETERS
from model.network.glip import Glip
from schemas.errors import ConfigError
from tests.model.official_tables import PRESETS, official_table
from tests.parity.weights import official_state, recipe_values


def _empty(preset: str) -> Glip:
    with torch.device("meta"):
        return Glip(get_preset(preset))


def _published(preset: str) -> dict[str, torch.Tensor]:
    rows = official_table(preset)
    return {row.name: torch.empty(row.shape, device="meta") for row in rows}


@pytest.fixture(scope="module")
def toy() -> Glip:
    torch.manual_seed(0)
    return Glip(get_preset("glip-toy"))


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_published_name_and_shape_has_its_place(preset):
    model = _empty(preset)
    published, own = _published(preset), model.state_dict()
    ours = from_official(published, model.config, own, where="table")
    assert ours.keys() == own.keys()
    back = to_official(own, model.config)
    assert {name: t.shape for name, t in back.items()} == {
        name: t.shape for name, t in published.items()
    }
    assert sum(p.numel() for p in model.parameters()) == NUM_PARAMETERS[preset]


def test_nano_has_the_parameters_that_are_told():
    assert sum(p.numel() for p in _empty("glip-nano").parameters()) == NUM_PARAMETERS["glip-nano"]


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_weight_recipe_gives_the_recorded_bytes(preset):
    rows = [row for row in official_table(preset) if row.sha256 != "kept"]
    for row in rows[:: len(rows) // 12]:
        if sum(row.shape) < 5000:
            values = recipe_values(row.name, row.shape)
            assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == row.sha256, row.name


def test_there_and_back_is_the_same(toy):
    own = toy.state_dict()
    official = to_official(own, toy.config)
    again = from_official(official, toy.config, own, where="test")
    assert all(torch.equal(again[name], own[name]) for name in own)


def test_what_the_reference_recomputes_or_never_reads_is_tolerated(toy):
    own = toy.state_dict()
    official = to_official(own, toy.config)
    for name in (
        "language_backbone.body.model.pooler.dense.weight",
        "rpn.head.mlm_head.weight",
        "rpn.tunable_linear.weight",
        "rpn.resizer.fc.bias",
    ):
        official[name] = torch.zeros(1)
    official["rpn.head.cls_logits.weight"] = torch.zeros(1203, 32, 1, 1)
    for name in ("rpn.head.cls_logits.bias", "rpn.anchor_generator.cell_anchors.0"):
        del official[name]
    del official["language_backbone.body.model.embeddings.position_ids"]
    assert from_official(official, toy.config, own, where="test").keys() == own.keys()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda s: s.pop("rpn.head.dyhead_tower.3.b_attn.gamma_v"),
            "FILE does not fit glip-toy: 1 tensor is missing, "
            "first rpn.head.dyhead_tower.3.b_attn.gamma_v",
        ),
        (
            lambda s: s.update({"rpn.head.extra.weight": torch.zeros(1)}),
            "1 tensor is unexpected, first rpn.head.extra.weight",
        ),
        (
            lambda s: s.update({"backbone.fpn.fpn_inner2.weight": torch.zeros(32, 7, 1, 1)}),
            "1 tensor is of another shape, first backbone.fpn.fpn_inner2.weight has shape "
            r"\[32, 7, 1, 1\], not \[32, 32, 1, 1\]",
        ),
    ],
)
def test_differences_are_named_as_published(toy, spoil, message):
    own = toy.state_dict()
    official = to_official(own, toy.config)
    spoil(official)
    with pytest.raises(ConfigError, match=message):
        from_official(official, toy.config, own, where="FILE")


def test_other_backbones_have_no_published_layout():
    with pytest.raises(ConfigError, match="only Swin networks .*'resnet'"):
        official_prefixes(get_preset("glip-nano"))


def _as_mmdet(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """MMDetection's names and its order of the merged patches (`glip_to_mmdet.py`)."""
    renamed = {}
    for name, tensor in state.items():
        if "downsample" in name:
            parts = tensor.chunk(4, dim=-1)
            order = (parts[0], parts[2], parts[1], parts[3])
            tensor = torch.stack(order, dim=-1).flatten(-2)
        name = re.sub(r"^backbone\.fpn\.fpn_inner(\d)", _lateral, name)
        name = re.sub(r"^backbone\.fpn\.fpn_layer(\d)", _output, name)
        name = re.sub(r"^backbone\.fpn\.top_blocks\.p(\d)", _top, name)
        name = name.replace("backbone.body.layers", "backbone.stages")
        name = name.replace("backbone.body.patch_embed.proj", "backbone.patch_embed.projection")
        name = re.sub(r"^backbone\.body", "backbone", name)
        if name.startswith("backbone.stages"):
            name = name.replace("mlp.fc1", "ffn.layers.0.0").replace("mlp.fc2", "ffn.layers.1")
            name = name.replace("attn", "attn.w_msa")
        name = re.sub(r"^language_backbone", "language_model.language_backbone", name)
        renamed[re.sub(r"^rpn\.", "bbox_head.", name)] = tensor
    return renamed


def _lateral(match: re.Match[str]) -> str:
    return f"neck.lateral_convs.{int(match[1]) - 2}.conv"


def _output(match: re.Match[str]) -> str:
    return f"neck.fpn_convs.{int(match[1]) - 2}.conv"


def _top(match: re.Match[str]) -> str:
    return f"neck.fpn_convs.{int(match[1]) - 3}.conv"


def test_mmdetections_names_and_patch_order_are_understood(toy):
    official = official_state(to_official(toy.state_dict(), toy.config))
    foreign = _as_mmdet(official)
    assert not set(foreign) & set(official)
    again = from_mmdet(foreign)
    assert again.keys() == official.keys()
    assert all(torch.equal(again[name], official[name]) for name in official)
