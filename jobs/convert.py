"""Convert a published GLIP checkpoint to a model directory, or a model directory back.

Reads Microsoft's files and MMDetection's conversions of them; only tensors are read, never code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from schemas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge convert`."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint file; with --to-official a model directory."""
    out: Path
    """The model directory to write; with --to-official the .pth file."""
    preset: str | None = None
    """The network that the file must hold (see `glipforge models`); default: whichever fits."""
    weights: Literal["model", "model_ema"] = "model"
    """Which weights, where a file holds trained and averaged ones; the reference reads `model`."""
    to_official: bool = False
    """The way back: write a file that the reference's code loads."""


def run(config: Config) -> int:
    """Convert; nothing is written unless everything fits."""
    if config.to_official:
        return _to_official(config)
    from model.checkpoint import save_pretrained
    from model.official_file import convert_checkpoint

    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise ConfigError(f"--out {config.out} is there already; name a new directory")
    model = convert_checkpoint(config.checkpoint, config.preset, config.weights)
    save_pretrained(model, config.out)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{config.checkpoint.name}: {model.config.preset}, {parameters / 1e6:.1f} M parameters")
    print(f"wrote {config.out}; use it with --teacher {config.out}")
    return 0


def _to_official(config: Config) -> int:
    import torch

    from model.checkpoint import load_pretrained
    from model.official_weights import to_official

    if config.preset is not None:
        raise ConfigError("--preset has no meaning with --to-official: the directory knows it")
    if config.out.exists():
        raise ConfigError(f"--out {config.out} is there already; name a new file")
    if not config.out.parent.is_dir():
        raise ConfigError(f"--out: there is no folder {str(config.out.parent)!r}")
    model = load_pretrained(config.checkpoint)
    state = to_official(model.state_dict(), model.config)
    torch.save({"model": {name: tensor.clone() for name, tensor in state.items()}}, config.out)
    print(f"wrote {config.out}: {len(state)} tensors in the published layout")
    return 0
