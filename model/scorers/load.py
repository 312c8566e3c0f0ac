"""From a directory of transformers, or an id of the hub, to a scorer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.files.source import IMAGE_FILES, TEXT_FILES
from model.files.transformers_directory import (
    load_network,
    load_part,
    model_directory,
    model_identity,
    require_one,
)
from model.scorers import clip, masks
from model.scorers.kinds import CONTRASTIVE, LAYERS_OF, scorer_type
from schemas.layer import LayerScorer


def scorer_directory(source: str) -> Path:
    """The local directory of a model: the one named, or the hub's, fetched once.

    Raises:
        MissingDependency: the hub cannot be reached or does not have it.
        ConfigError: it is not a model that can score.
    """
    return model_directory(source, scorer_type)


def scorer_layers(directory: Path) -> tuple[str, ...]:
    """The layers that the model of a directory makes."""
    return LAYERS_OF[scorer_type(directory)]


def scorer_fingerprint(directory: Path, *, prompt: str) -> Mapping[str, Any]:
    """The fingerprint that the loaded scorer would have; nothing is loaded.

    Raises:
        ConfigError: there are no weights in safetensors.
    """
    identity = model_identity(directory, scorer_type(directory))
    if scorer_type(directory) in CONTRASTIVE:
        return {**identity, "image_processor": clip.BACKEND, "prompt": prompt}
    return {**identity, "image_processor": masks.BACKEND}


def load_scorer(
    directory: Path, *, device: torch.device, batch_size: int, prompt: str = "{}"
) -> LayerScorer:
    """The scorer of a directory.

    Raises:
        ConfigError: a file is missing or broken, or weights do not fit.
    """
    from transformers import AutoModel, AutoModelForMaskGeneration

    kind = scorer_type(directory)
    if kind in CONTRASTIVE:
        tokenizer = _tokenizer(directory)
        pixels = _image_processor(directory, clip.BACKEND)
        model = load_network(AutoModel, directory, kind).requires_grad_(False).to(device)
        return clip.ContrastiveScorer(
            model=model,
            tokenizer=tokenizer,
            image_processor=pixels,
            model_type=kind,
            identity=model_identity(directory, scorer_type(directory)),
            device=device,
            batch_size=batch_size,
            prompt=prompt,
        )
    processor = _processor(directory)
    # sam2_video holds SAM 2 and a memory of earlier frames; only this class takes the first alone.
    model = load_network(AutoModelForMaskGeneration, directory, kind)
    return masks.MaskScorer(
        model=model.requires_grad_(False).to(device),
        processor=processor,
        identity=model_identity(directory, scorer_type(directory)),
        device=device,
    )


def _tokenizer(directory: Path) -> Any:
    from transformers import AutoTokenizer

    require_one(directory, "tokenizer", TEXT_FILES)
    return load_part(AutoTokenizer, directory, "tokenizer")


def _image_processor(directory: Path, backend: str) -> Any:
    from transformers import AutoImageProcessor

    require_one(directory, "image processor", IMAGE_FILES)
    return load_part(AutoImageProcessor, directory, "image processor", backend=backend)


def _processor(directory: Path) -> Any:
    from transformers import AutoProcessor

    require_one(directory, "image processor", IMAGE_FILES)
    return load_part(AutoProcessor, directory, "processor")
