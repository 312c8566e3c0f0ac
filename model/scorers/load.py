"""From a directory of transformers, or an id of the hub, to a scorer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.files.source import IMAGE_FILES, TEXT_FILES, resolve_source
from model.files.transformers_directory import (
    LOADING,
    directory_hash,
    first_line,
    library_versions,
    load_network,
)
from model.scorers import clip, masks
from model.scorers.kinds import CONTRASTIVE, LAYERS_OF, scorer_type
from schemas.errors import ConfigError, MissingDependency
from schemas.layer import LayerScorer

HASH_DIGITS = 12


def scorer_directory(source: str) -> Path:
    """The local directory of a model: the one named, or the hub's, fetched once.

    Raises:
        MissingDependency: the hub cannot be reached or does not have it.
        ConfigError: it is not a model that can score.
    """
    try:
        directory = resolve_source(source, accepts=scorer_type)
    except MissingDependency as error:
        raise MissingDependency(f"model: {str(error).replace('--teacher', '--model')}") from error
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith("model: ") else f"model: {text}") from error
    scorer_type(directory)
    return directory


def scorer_layers(directory: Path) -> tuple[str, ...]:
    """The layers that the model of a directory makes."""
    return LAYERS_OF[scorer_type(directory)]


def scorer_fingerprint(directory: Path, *, prompt: str) -> Mapping[str, Any]:
    """The fingerprint that the loaded scorer would have; nothing is loaded.

    Raises:
        ConfigError: there are no weights in safetensors.
    """
    identity = _identity(directory)
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
            identity=_identity(directory),
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
        identity=_identity(directory),
        device=device,
    )


def _identity(directory: Path) -> dict[str, Any]:
    kind = scorer_type(directory)
    digest = directory_hash(directory)
    return {
        "model": f"{kind}@{digest[:HASH_DIGITS]}",
        "model_type": kind,
        "weights_sha256": digest,
        "libraries": library_versions(),
    }


def _tokenizer(directory: Path) -> Any:
    from transformers import AutoTokenizer

    _require_one(directory, "tokenizer", TEXT_FILES)
    try:
        return AutoTokenizer.from_pretrained(directory, **LOADING)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        needs = "; pip install sentencepiece" if "sentencepiece" in str(error).lower() else ""
        raise ConfigError(
            f"model: the tokenizer of {directory} cannot be read: {first_line(error)}{needs}"
        ) from error


def _image_processor(directory: Path, backend: str) -> Any:
    from transformers import AutoImageProcessor

    _require_one(directory, "image processor", IMAGE_FILES)
    try:
        return AutoImageProcessor.from_pretrained(directory, backend=backend, **LOADING)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise ConfigError(
            f"model: the image processor of {directory} cannot be read: {first_line(error)}"
        ) from error


def _processor(directory: Path) -> Any:
    from transformers import AutoProcessor

    _require_one(directory, "image processor", IMAGE_FILES)
    try:
        return AutoProcessor.from_pretrained(directory, **LOADING)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise ConfigError(
            f"model: the processor of {directory} cannot be read: {first_line(error)}"
        ) from error


def _require_one(directory: Path, what: str, names: tuple[str, ...]) -> None:
    if not any((directory / name).is_file() for name in names):
        raise ConfigError(
            f"model: {directory} has no {what}: one of {', '.join(names)} must be there"
        )
