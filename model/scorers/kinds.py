"""Which models of transformers can score, and for which layers."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.errors import ConfigError

CONFIG_NAME = "config.json"
CONTRASTIVE = ("clip", "siglip", "siglip2")
MASKS = ("sam", "sam2", "sam2_video", "sam3_tracker")
LAYERS_OF = {
    **dict.fromkeys(CONTRASTIVE, ("clip", "clip_image", "embeddings", "region_embeddings")),
    **dict.fromkeys(MASKS, ("masks",)),
}
"""model_type -> the layers that such a model makes."""


def scorer_type(directory: Path) -> str:
    """What a model directory says it is: a key of `LAYERS_OF`.

    Raises:
        ConfigError: no configuration, a model that cannot score, or one that brings code of its
            own.
    """
    path = directory / CONFIG_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"model: {path} cannot be read: {error}") from error
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    if kind in LAYERS_OF:
        return str(kind)
    if isinstance(raw, dict) and raw.get("auto_map"):
        raise ConfigError(
            f"model: {path} wants trust_remote_code: {kind!r} is not part of transformers, and to "
            "load it would run code of its repository on every worker. It is refused; take a "
            f"model that transformers itself knows: {', '.join(LAYERS_OF)}"
        )
    raise ConfigError(
        f"model: {path}: model_type must be one of {', '.join(LAYERS_OF)}, got {kind!r}"
    )
