"""The one table between the published GLIP checkpoints' names and ours, read in both directions.

Names are mapped by their longest known prefix that ends at a dot; what follows is the same on
both sides. MMDetection's converted checkpoints are a third column of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from model.config import GlipConfig
from model.files.directory import check_state, raise_difference
from model.network.anchors import make_anchors
from model.network.swin import relative_position_index
from schemas.errors import ConfigError

NUM_CLASSES = 80
"""Outputs of the published models' unused classification layer."""
_TOLERATED = re.compile(
    r"language_backbone\.body\.model\.(embeddings\.(position_ids|token_type_ids)|pooler\..*)"
    r"|rpn\.anchor_generator\.cell_anchors\.\d+"
    r"|rpn\.head\.(cls_logits|mlm_head)\..*"
    r"|rpn\.(resizer|loss_evaluator)\..*"
    r"|backbone\.body\.layers\.\d+\.blocks\.\d+\.attn(\.w_msa)?\.relative_position_index"
    r"|backbone\.body\.layers\.\d+\.blocks\.\d+\.attn_mask"
)
"""What a checkpoint may hold besides the weights: recomputed here, or never used."""
TUNED = "rpn.tunable_linear.weight"
"""The table of language-prompt tuning [1000, hidden], zero where nothing was tuned; the published
code adds its first rows to the words."""
NUM_TUNED = 1000
_FUSION = {
    "layer_norm_v": "norm_v",
    "layer_norm_l": "norm_l",
    "attn.v_proj": "query_v",
    "attn.l_proj": "key_l",
    "attn.values_v_proj": "value_v",
    "attn.values_l_proj": "value_l",
    "attn.out_v_proj": "out_v",
    "attn.out_l_proj": "out_l",
    "gamma_v": "gamma_v",
    "gamma_l": "gamma_l",
}
_LANGUAGE = ("attention", "intermediate", "output")
_DYCONV = {
    "DyConv.0.conv": "coarser.conv",
    "DyConv.0.bn": "coarser.norm",
    "DyConv.1.conv": "same.conv",
    "DyConv.1.bn": "same.norm",
    "DyConv.2.conv": "finer.conv",
    "DyConv.2.bn": "finer.norm",
    "AttnConv.1": "branch_score",
    "relu.fc.0": "relu.squeeze",
    "relu.fc.2": "relu.excite",
    "offset": "offset",
}
_HEAD = {
    "bbox_pred": "box",
    "centerness": "centerness",
    "dot_product_projection_text": "text_projection",
    "log_scale": "log_scale",
    "bias_lang": "bias_lang",
    "bias0": "bias0",
}
_MMDET = (
    (r"^backbone\.patch_embed\.projection\.", "backbone.body.patch_embed.proj."),
    (r"^backbone\.(patch_embed|norm\d)\.", r"backbone.body.\1."),
    (r"^backbone\.stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.0\.0\.", r"@\1.blocks.\2.mlp.fc1."),
    (r"^backbone\.stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.1\.", r"@\1.blocks.\2.mlp.fc2."),
    (r"^backbone\.stages\.(\d+)\.blocks\.(\d+)\.attn\.w_msa\.", r"@\1.blocks.\2.attn."),
    (r"^backbone\.stages\.", "@"),
    (r"^@", "backbone.body.layers."),
    (r"^neck\.lateral_convs\.0\.conv\.", "backbone.fpn.fpn_inner2."),
    (r"^neck\.lateral_convs\.1\.conv\.", "backbone.fpn.fpn_inner3."),
    (r"^neck\.lateral_convs\.2\.conv\.", "backbone.fpn.fpn_inner4."),
    (r"^neck\.fpn_convs\.0\.conv\.", "backbone.fpn.fpn_layer2."),
    (r"^neck\.fpn_convs\.1\.conv\.", "backbone.fpn.fpn_layer3."),
    (r"^neck\.fpn_convs\.2\.conv\.", "backbone.fpn.fpn_layer4."),
    (r"^neck\.fpn_convs\.3\.conv\.", "backbone.fpn.top_blocks.p6."),
    (r"^neck\.fpn_convs\.4\.conv\.", "backbone.fpn.top_blocks.p7."),
    (r"^language_model\.language_backbone\.", "language_backbone."),
    (r"^bbox_head\.", "rpn."),
)
"""MMDetection's names to the published ones, applied in order."""


def official_prefixes(config: GlipConfig) -> dict[str, str]:
    """Published prefix to ours, for a network of the published kind.

    Raises:
        ConfigError: the configuration has parts that the published code does not know.
    """
    if config.backbone != "swin" or config.num_backbone_levels != 3:
        raise ConfigError(
            f"{config.preset}: only Swin networks have a published layout, not {config.backbone!r}"
        )
    if not config.reread_offsets or config.mask_padding:
        other = "mask_padding" if config.reread_offsets else "no reread_offsets"
        raise ConfigError(
            f"{config.preset} has {other}: the published code would compute something else with "
            "its weights"
        )
    return dict(_prefixes(config))


def from_official(
    state: Mapping[str, Tensor], config: GlipConfig, wanted: Mapping[str, Tensor], *, where: str
) -> dict[str, Tensor]:
    """Published names to ours, strictly.

    Args:
        state: Names as in the published files, without `module.`.
        config: The network that is expected.
        wanted: Our names with tensors of the right shapes.
        where: Names the file in errors.

    Raises:
        ConfigError: a tensor is missing, unexpected or of another shape; names the first in the
            published names.
    """
    table = official_prefixes(config)
    back = {ours: theirs for theirs, ours in table.items()}
    ours: dict[str, Tensor] = {}
    unexpected = []
    for name, tensor in state.items():
        if _TOLERATED.fullmatch(name) or (name == TUNED and not config.text.tuned_positions):
            continue
        if name == TUNED:
            tensor = tensor[: config.text.tuned_positions]
        mapped = _translate(name, table)
        if mapped is None or mapped not in wanted:
            unexpected.append(name)
        else:
            ours[mapped] = tensor
    missing = [_translate(name, back) or name for name in wanted if name not in ours]
    raise_difference(where, {"missing": missing, "unexpected": unexpected}, config.preset)
    check_state(
        {_translate(name, back) or name: tensor for name, tensor in ours.items()},
        {_translate(name, back) or name: tensor for name, tensor in wanted.items()},
        where=where,
        architecture=config.preset,
    )
    return ours


def to_official(state: Mapping[str, Tensor], config: GlipConfig) -> dict[str, Tensor]:
    """Our names to the published ones, with the buffers that the published code also keeps."""
    back = {ours: theirs for theirs, ours in official_prefixes(config).items()}
    official: dict[str, Tensor] = {}
    for name, tensor in state.items():
        mapped = _translate(name, back)
        if mapped is None:
            raise ConfigError(f"{name} has no name in the published layout")
        official[mapped] = tensor
    if TUNED in official:
        tuned = official[TUNED]
        official[TUNED] = torch.cat(
            [tuned, tuned.new_zeros(NUM_TUNED - len(tuned), tuned.shape[1])]
        )
    window = config.backbone_options["window_size"]
    for stage, depth in enumerate(config.backbone_options["depths"]):
        for block in range(depth):
            name = f"backbone.body.layers.{stage}.blocks.{block}.attn.relative_position_index"
            official[name] = relative_position_index(window)
    positions = torch.arange(config.text.max_positions)[None]
    official["language_backbone.body.model.embeddings.position_ids"] = positions
    for level, stride in enumerate(config.strides):
        anchors = make_anchors([(1, 1)], [stride], anchor_scale=config.anchor_scale)
        official[f"rpn.anchor_generator.cell_anchors.{level}"] = anchors
    official["rpn.head.cls_logits.weight"] = torch.zeros(NUM_CLASSES, config.channels, 1, 1)
    official["rpn.head.cls_logits.bias"] = torch.zeros(NUM_CLASSES)
    return official


def with_tuned_positions(state: Mapping[str, Tensor], config: GlipConfig) -> GlipConfig:
    """The configuration with room for a file's tuned prompt, where it has one that is not zero."""
    if TUNED not in state or not state[TUNED].any():
        return config
    return replace(config, text=replace(config.text, tuned_positions=config.max_tokens))


def from_mmdet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """MMDetection's converted GLIP to the published names and values.

    Its patch merging unfolds channel by channel where the published one concatenates four maps,
    so those weights are stored in another order.
    """
    official: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for pattern, replacement in _MMDET:
            name = re.sub(pattern, replacement, name)
        if ".downsample." in name:
            by_place = tensor.unflatten(-1, (-1, 4)).transpose(-1, -2)
            tensor = by_place[..., [0, 2, 1, 3], :].flatten(-2)
        official[name] = tensor
    return official


def is_mmdet(names: Mapping[str, Tensor]) -> bool:
    """Whether these are MMDetection's names."""
    return any(name.startswith(("bbox_head.", "neck.")) for name in names)


def _translate(name: str, table: Mapping[str, str]) -> str | None:
    prefix = name
    while prefix not in table:
        if "." not in prefix:
            return None
        prefix = prefix.rpartition(".")[0]
    return table[prefix] + name[len(prefix) :]


def _prefixes(config: GlipConfig) -> Iterator[tuple[str, str]]:
    yield "backbone.body", "backbone.body"
    for stage in range(1, 4):
        # Merged at the end of a stage there, at the start of the next one here.
        source = f"backbone.body.layers.{stage - 1}.downsample"
        yield source, f"backbone.body.layers.{stage}.downsample"
        yield f"backbone.body.norm{stage}", f"backbone.norms.{stage - 1}"
        yield f"backbone.fpn.fpn_inner{stage + 1}", f"pyramid.inner.{stage - 1}"
        yield f"backbone.fpn.fpn_layer{stage + 1}", f"pyramid.output.{stage - 1}"
    for level in range(config.num_extra_levels):
        yield f"backbone.fpn.top_blocks.p{level + 6}", f"pyramid.extra.{level}"
    yield "language_backbone.body.model", "text_encoder.bert"
    yield "rpn.tunable_linear.weight", "text_encoder.tuned"
    per_layer = 3 if config.early_fusion else 1
    for layer in range(config.num_layers):
        first = layer * per_layer
        if config.early_fusion:
            for theirs, ours in _FUSION.items():
                source = f"rpn.head.dyhead_tower.{first}.b_attn.{theirs}"
                yield source, f"tower.{layer}.fusion.{ours}"
            for part in _LANGUAGE:
                source = f"rpn.head.dyhead_tower.{first + 1}.{part}"
                yield source, f"tower.{layer}.language.{part}"
        for theirs, ours in _DYCONV.items():
            source = f"rpn.head.dyhead_tower.{first + per_layer - 1}.{theirs}"
            yield source, f"tower.{layer}.vision.{ours}"
    for theirs, ours in _HEAD.items():
        yield f"rpn.head.{theirs}", f"head.{ours}"
    for level in range(len(config.strides)):
        yield f"rpn.head.scales.{level}.scale", f"head.level_scales.{level}"
