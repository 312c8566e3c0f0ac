"""Image backbones: the reference's Swin, and timm's architectures with a feature pyramid."""

from __future__ import annotations

from typing import Any

import timm
from timm.models import resnet
from torch import Tensor, nn

from model.config import GlipConfig
from model.swin import SwinBackbone
from schemas.errors import ConfigError


class TimmBackbone(nn.Module):
    """The maps of strides 8, 16 and 32 of a timm feature pyramid."""

    def __init__(self, body: nn.Module, num_levels: int, name: str) -> None:
        super().__init__()
        info = body.feature_info
        strides = [entry["reduction"] for entry in info]
        wanted = [8 * 2**level for level in range(num_levels)]
        missing = [stride for stride in wanted if stride not in strides]
        if missing:
            raise ConfigError(
                f"backbone {name!r} has maps of strides {strides}, not of stride {missing[0]}"
            )
        self.body = body
        self._indices = [strides.index(stride) for stride in wanted]
        self.channels = tuple(info[index]["num_chs"] for index in self._indices)

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        """Maps [B, C, H / s, W / s] for s = 8, 16, 32."""
        maps = self.body(pixels_B3HW)
        return [maps[index] for index in self._indices]


def build_backbone(config: GlipConfig) -> nn.Module:
    """The image backbone of a configuration, without pretrained weights.

    Raises:
        ConfigError: timm knows no such architecture, or it has no map of a wanted stride.
    """
    options: dict[str, Any] = dict(config.backbone_options)
    if config.backbone == "swin":
        return SwinBackbone(**options, drop_path=config.drop_path)
    if config.backbone == "resnet":
        options["block"] = getattr(resnet, options.pop("block", "BasicBlock"))
        body = resnet.ResNet(num_classes=0, global_pool="", **options)
        return TimmBackbone(_ResNetStages(body), config.num_backbone_levels, config.backbone)
    if not timm.is_model(config.backbone):
        near = ", ".join(timm.list_models(f"*{config.backbone.split('_')[0]}*")[:8])
        raise ConfigError(
            f"timm has no architecture {config.backbone!r}"
            + (f"; near it: {near}" if near else "; see timm.list_models()")
        )
    try:
        body = timm.create_model(config.backbone, features_only=True, **options)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise ConfigError(f"backbone {config.backbone!r} cannot give features: {error}") from error
    return TimmBackbone(body, config.num_backbone_levels, config.backbone)


class _ResNetStages(nn.Module):
    """A timm ResNet built from its parts, as a list of maps of strides 4, 8, 16, 32."""

    def __init__(self, body: resnet.ResNet) -> None:
        super().__init__()
        self.body = body
        self.feature_info = [
            {"num_chs": entry["num_chs"], "reduction": entry["reduction"]}
            for entry in body.feature_info[1:]
        ]

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        body = self.body
        x = body.maxpool(body.act1(body.bn1(body.conv1(pixels_B3HW))))
        maps = []
        for stage in (body.layer1, body.layer2, body.layer3, body.layer4):
            x = stage(x)
            maps.append(x)
        return maps
