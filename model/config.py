"""What a GLIP is made of: one frozen configuration, and the presets by name.

The official presets have the sizes of the published models (Microsoft's GLIP repository, commit
9dda955, `configs/pretrain`). `glip-nano` is our own: it trains and runs on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any, Literal

from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """Sizes of the BERT text encoder."""

    hidden_size: int = 768
    num_layers: int = 12
    num_heads: int = 12
    intermediate_size: int = 3072
    vocab_size: int = 30522
    max_positions: int = 512
    dropout: float = 0.1
    tuned_positions: int = 0
    """Positions that have a vector of their own, added to the encoder's last layer: what
    language-prompt tuning trains. 0: none."""


_MOST = {
    "num_backbone_levels": 8, "channels": 8192, "num_layers": 64, "fusion_dim": 65536,
    "fusion_heads": 1024, "norm_groups": 8192, "max_tokens": 8192, "min_size": 65536,
    "max_size": 65536, "size_divisor": 4096,
}  # fmt: skip
"""Each is at least 1. A configuration may be damaged or a stranger's: building what it says must
end, and fit into a machine."""
_MOST_OF_TEXT = {
    "hidden_size": 16384, "num_layers": 256, "num_heads": 1024, "intermediate_size": 131072,
    "vocab_size": 1 << 22, "max_positions": 65536,
}  # fmt: skip
_MAX_EXTRA_LEVELS = 8
_MOST_ANCHOR_SCALE = 1024


def _require_counts(value_of: Callable[[str], object], most: Mapping[str, int], of: str) -> None:
    for name, greatest in most.items():
        value = value_of(name)
        if not isinstance(value, int) or not 1 <= value <= greatest:
            raise ConfigError(
                f"{of}{name} must be an integer >= 1, at most {greatest:,}, got {value!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GlipConfig:
    """One GLIP network. Sizes in channels and pixels; rates are probabilities."""

    preset: str
    """The name that the identity of a teacher starts with."""
    backbone: str
    """`swin` (exact to the reference), or a timm architecture that gives features of images of any
    size: most with a feature pyramid, and plain ViTs. Those with fixed windows do not."""
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the timm architecture."""
    num_backbone_levels: int = 3
    """The deepest maps of the backbone that enter the pyramid; the finest has stride 8."""
    num_extra_levels: int = 2
    """Levels made by stride-2 convolutions above the pyramid (P6, P7)."""
    channels: int = 256
    """Width of the pyramid and of the dynamic head."""
    text: TextConfig = field(default_factory=TextConfig)
    num_layers: int = 6
    """Layers of the head tower."""
    early_fusion: bool = True
    """Fuse image and text in every layer of the tower."""
    fusion_dim: int = 2048
    """Width of the fusion's joint space, over all heads."""
    fusion_heads: int = 8
    fusion_dropout: float = 0.1
    norm_groups: int = 16
    """Groups of the head's group normalisation."""
    reread_offsets: bool = True
    """The coarser branch reads the offsets as the released weights were trained to (a flat
    re-read); False resizes them."""
    anchor_scale: float = 8.0
    """Side of an anchor in strides."""
    max_tokens: int = 256
    """Text positions, [CLS] and [SEP] included."""
    min_size: int = 800
    """Short side that images are resized to."""
    max_size: int = 1333
    """Long side that is not passed."""
    size_divisor: int = 32
    drop_path: float = 0.2
    dropblock: float = 0.3
    """Drop probability of the pyramid's DropBlock, in training only."""
    mask_padding: bool = False
    """Images of a batch do not see its padding, so that answers do not depend on batch mates: each
    size is computed for itself. The published networks were trained without; a teacher asks
    images of one size together in any case."""
    checkpoint_activations: bool = False
    """Recompute the tower's activations in the backward pass: less memory, more time."""

    def __post_init__(self) -> None:
        _require_counts(partial(getattr, self), _MOST, "")
        extra = self.num_extra_levels
        if not isinstance(extra, int) or not 0 <= extra <= _MAX_EXTRA_LEVELS:
            raise ConfigError(
                f"num_extra_levels must be an integer in [0, {_MAX_EXTRA_LEVELS}], got {extra!r}"
            )
        if not isinstance(self.text, TextConfig):
            raise ConfigError(f"text must be the sizes of the text encoder, got {self.text!r}")
        _require_counts(partial(getattr, self.text), _MOST_OF_TEXT, "text.")
        if not isinstance(self.backbone_options, Mapping):
            raise ConfigError(f"backbone_options must be a mapping, got {self.backbone_options!r}")
        for name in ("fusion_dropout", "drop_path", "dropblock"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if not 0 < self.anchor_scale <= _MOST_ANCHOR_SCALE:
            raise ConfigError(
                f"anchor_scale must be > 0, at most {_MOST_ANCHOR_SCALE}, got {self.anchor_scale}"
            )
        if not 1 <= self.min_size <= self.max_size:
            raise ConfigError(
                f"min_size must be in [1, max_size {self.max_size}], got {self.min_size}"
            )
        if self.text.hidden_size % self.text.num_heads:
            raise ConfigError(
                f"text.hidden_size must be a multiple of text.num_heads {self.text.num_heads}, "
                f"got {self.text.hidden_size}"
            )
        if self.channels % self.norm_groups:
            raise ConfigError(
                f"channels must be a multiple of norm_groups {self.norm_groups}, "
                f"got {self.channels}"
            )
        if self.fusion_dim % self.fusion_heads:
            raise ConfigError(
                f"fusion_dim must be a multiple of fusion_heads {self.fusion_heads}, "
                f"got {self.fusion_dim}"
            )
        if not 8 <= self.max_tokens <= self.text.max_positions:
            raise ConfigError(
                f"max_tokens must be in [8, {self.text.max_positions}], got {self.max_tokens}"
            )

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each level in network-input pixels, finest first."""
        return tuple(8 * 2**i for i in range(self.num_backbone_levels + self.num_extra_levels))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], *, where: str = "config.json") -> GlipConfig:
        """The configuration of a dictionary; `where` names it in errors.

        Raises:
            ConfigError: an unknown or missing field.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(raw) - known)
        if unknown:
            raise ConfigError(f"{where}: unknown field {unknown[0]!r}; allowed: {sorted(known)}")
        values = dict(raw)
        try:
            if isinstance(values.get("text"), Mapping):
                values["text"] = TextConfig(**values["text"])
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"{where} is not a GLIP configuration: {error}") from error


def glip_t() -> GlipConfig:
    """GLIP-T (and its variants B and C): Swin-T, deep fusion, 232 M parameters."""
    return GlipConfig(preset="glip-t", backbone="swin", backbone_options=_swin("tiny"))


def glip_t_a() -> GlipConfig:
    """GLIP-T (A): Swin-T, no fusion; text meets image only at the dot product."""
    return GlipConfig(
        preset="glip-t-a", backbone="swin", backbone_options=_swin("tiny"), early_fusion=False
    )


def glip_l() -> GlipConfig:
    """GLIP-L: Swin-L, eight fused layers."""
    return GlipConfig(
        preset="glip-l",
        backbone="swin",
        backbone_options=_swin("large"),
        num_layers=8,
        drop_path=0.4,
    )


def glip_nano() -> GlipConfig:
    """A few million parameters, three levels; trained here on drawn scenes of 128 pixels."""
    return GlipConfig(
        preset="glip-nano",
        backbone="resnet",
        backbone_options={
            "block": "BasicBlock",
            "layers": [1, 1, 2, 1],
            "channels": [32, 64, 128, 192],
            "stem_width": 16,
            "stem_type": "deep",
        },
        num_extra_levels=0,
        channels=96,
        text=TextConfig(
            hidden_size=192, num_layers=1, num_heads=4, intermediate_size=384, dropout=0.0
        ),
        num_layers=2,
        fusion_dim=192,
        fusion_heads=4,
        fusion_dropout=0.0,
        norm_groups=8,
        reread_offsets=False,
        anchor_scale=5.0,
        min_size=128,
        max_size=224,
        drop_path=0.0,
        dropblock=0.0,
    )


def glip_toy() -> GlipConfig:
    """The smallest network with every part, for tests: under a second on a CPU."""
    return GlipConfig(
        preset="glip-toy",
        backbone="swin",
        backbone_options={
            "embed_dim": 16,
            "depths": [1, 1, 2, 1],
            "num_heads": [1, 2, 2, 4],
            "window_size": 4,
        },
        channels=32,
        text=TextConfig(hidden_size=32, num_layers=1, num_heads=2, intermediate_size=64),
        num_layers=2,
        fusion_dim=32,
        fusion_heads=2,
        norm_groups=4,
        min_size=64,
        max_size=128,
        drop_path=0.1,
    )


def _swin(size: Literal["tiny", "large"]) -> dict[str, Any]:
    if size == "tiny":
        return {
            "embed_dim": 96,
            "depths": [2, 2, 6, 2],
            "num_heads": [3, 6, 12, 24],
            "window_size": 7,
        }
    return {
        "embed_dim": 192,
        "depths": [2, 2, 18, 2],
        "num_heads": [6, 12, 24, 48],
        "window_size": 12,
    }


PRESETS: dict[str, Callable[[], GlipConfig]] = {
    "glip-t-a": glip_t_a,
    "glip-t": glip_t,
    "glip-l": glip_l,
    "glip-nano": glip_nano,
    "glip-toy": glip_toy,
}


def get_preset(name: str) -> GlipConfig:
    """The configuration of a preset.

    Raises:
        ConfigError: no preset has this name.
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; allowed: {', '.join(PRESETS)}")
    return PRESETS[name]()
