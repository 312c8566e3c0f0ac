"""Image backbones: the reference's Swin, and timm's architectures with a feature pyramid.

Plain ViT have one map of stride 14 or 16; a simple pyramid (Li et al. 2022, "Exploring plain
vision transformer backbones for object detection") makes the other strides from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import GlipConfig
from model.network.swin import SwinBackbone
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from timm.models.resnet import ResNet


class TimmBackbone(nn.Module):
    """The maps of strides 8, 16 and 32 of a timm feature pyramid.

    Args:
        body: Gives a list of maps, finest first.
        infos: Channels and stride of each of them.
        num_levels: Maps from stride 8 on.
        name: For errors.
    """

    def __init__(
        self, body: nn.Module, infos: Sequence[tuple[int, int]], num_levels: int, name: str
    ) -> None:
        super().__init__()
        strides = [stride for _, stride in infos]
        wanted = [8 * 2**level for level in range(num_levels)]
        missing = [stride for stride in wanted if stride not in strides]
        if missing:
            raise ConfigError(
                f"backbone {name!r} has maps of strides {strides}, not of stride {missing[0]}"
            )
        self.body = body
        self._places = [strides.index(stride) for stride in wanted]
        self.out_channels = tuple(infos[place][0] for place in self._places)

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        """Maps of strides 8, 16, ..."""
        maps = self.body(pixels_B3HW)
        return [maps[place] for place in self._places]


class ResNetStages(nn.Module):
    """A timm ResNet built from its parts, as a list of maps of strides 4, 8, 16, 32."""

    def __init__(self, body: ResNet) -> None:
        super().__init__()
        self.body: Any = body
        entries: list[Any] = body.feature_info[1:]
        self.infos = [(int(entry["num_chs"]), int(entry["reduction"])) for entry in entries]

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        """Maps, finest first."""
        body = self.body
        x = body.maxpool(body.act1(body.bn1(body.conv1(pixels_B3HW))))
        maps = []
        for stage in (body.layer1, body.layer2, body.layer3, body.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class SimplePyramid(nn.Module):
    """Maps of strides 8, 16, 32 from the last map of a plain vision transformer.

    Args:
        body: Gives a list with one map.
        channels: Of that map.
        patch: Its stride. Images are padded to a multiple of it; a stride other than 16 is
            resized to the grid of stride 16.
    """

    def __init__(self, body: nn.Module, channels: int, patch: int) -> None:
        super().__init__()
        self.body = body
        self.patch = patch
        self.out_channels = (channels,) * 3
        self.finer = nn.Sequential(
            nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.GroupNorm(1, channels)
        )
        self.same = nn.GroupNorm(1, channels)
        self.coarser = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.GroupNorm(1, channels))

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        """Maps of strides 8, 16, 32."""
        height, width = pixels_B3HW.shape[-2:]
        x = F.pad(pixels_B3HW, (0, -width % self.patch, 0, -height % self.patch))
        x = self.body(x)[-1]
        size = (-(-height // 16), -(-width // 16))
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        finer = self.finer(x)[..., : -(-height // 8), : -(-width // 8)]
        return [finer, self.same(x), self.coarser(x)]


Backbone = SwinBackbone | TimmBackbone | SimplePyramid


def build_backbone(config: GlipConfig) -> Backbone:
    """The image backbone of a configuration, without pretrained weights.

    Raises:
        ConfigError: timm knows no such architecture, it has no map of a wanted stride, or it does
            not take the options.
    """
    try:
        return _build(config, dict(config.backbone_options))
    except (TypeError, ValueError, AttributeError, AssertionError, RuntimeError) as error:
        # timm and torch refuse options each in their own way.
        raise ConfigError(
            f"backbone {config.backbone!r} cannot be built with the backbone_options "
            f"{dict(config.backbone_options)}: {type(error).__name__}: {error}"
        ) from error


def _build(config: GlipConfig, options: dict[str, Any]) -> Backbone:
    name, num_levels = config.backbone, config.num_backbone_levels
    if name == "swin":
        return SwinBackbone(**options, drop_path=config.drop_path)
    # Imported where it is used: 0.2 GB of memory that the published networks do without.
    import timm
    from timm.models import resnet

    if name == "resnet":
        options["block"] = getattr(resnet, options.pop("block", "BasicBlock"))
        stages = ResNetStages(resnet.ResNet(num_classes=0, global_pool="", **options))
        return TimmBackbone(stages, stages.infos, num_levels, name)
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:8])
        raise ConfigError(
            f"timm has no architecture {name!r}"
            + (f"; near it: {near}" if near else "; see timm.list_models()")
        )
    body = _create(name, options)
    channels: list[int] = body.feature_info.channels()
    strides: list[int] = body.feature_info.reduction()
    if str(getattr(body, "output_fmt", "")) == "Format.NHWC":
        body = _ChannelsFirst(body)
    if len(set(strides)) > 1:
        return TimmBackbone(body, list(zip(channels, strides, strict=True)), num_levels, name)
    if num_levels != 3:
        raise ConfigError(f"num_backbone_levels must be 3 with a plain ViT, got {num_levels}")
    return SimplePyramid(body, channels[-1], strides[-1])


def _create(name: str, options: Mapping[str, Any]) -> Any:
    """A timm feature extractor that takes images of any size, where timm's has that option."""
    import timm

    for any_size in ({"dynamic_img_size": True}, {"strict_img_size": False}, {}):
        try:
            return timm.create_model(name, features_only=True, **{**any_size, **options})
        except TypeError as error:
            if not any(option in str(error) for option in any_size):
                raise ConfigError(f"backbone {name!r}: {error}") from error
        except (RuntimeError, AttributeError) as error:
            raise ConfigError(f"backbone {name!r} cannot give features: {error}") from error
    raise AssertionError("unreachable: the last try has no option of its own")


class _ChannelsFirst(nn.Module):
    """Maps [B, H, W, C] of timm's hierarchical transformers as [B, C, H, W]."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, pixels_B3HW: Tensor) -> list[Tensor]:
        return [x.permute(0, 3, 1, 2) for x in self.body(pixels_B3HW)]
