"""Which models of transformers can score, and for which layers."""

from __future__ import annotations

from pathlib import Path

from model.files.model_type import model_type

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
    return model_type(directory, LAYERS_OF, prefix="model: ")
