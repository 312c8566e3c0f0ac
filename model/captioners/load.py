"""From a directory of transformers, or an id of the hub, to a captioner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.captioners.captioner import BACKEND, Captioner, captioner_identity
from model.captioners.kinds import KINDS, captioner_type
from model.captioners.options import CaptionerOptions
from model.files.source import IMAGE_FILES, TEXT_FILES, resolve_source
from model.files.transformers_directory import (
    LOADING,
    directory_hash,
    first_line,
    library_versions,
    load_network,
)
from schemas.errors import ConfigError, MissingDependency

HASH_DIGITS = 12


def captioner_directory(source: str) -> Path:
    """The local directory of a captioner: the one named, or the hub's, fetched once.

    Raises:
        MissingDependency: the hub cannot be reached or does not have it.
        ConfigError: it is not a model that makes captions.
    """
    try:
        directory = resolve_source(source, accepts=captioner_type)
    except MissingDependency as error:
        raise MissingDependency(f"model: {str(error).replace('--teacher', '--model')}") from error
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith("model: ") else f"model: {text}") from error
    captioner_type(directory)
    return directory


def captioner_fingerprint(directory: Path, options: CaptionerOptions) -> Mapping[str, object]:
    """The fingerprint that the loaded captioner would have; nothing is loaded.

    Raises:
        ConfigError: there are no weights in safetensors, or a prompt that the kind does not know.
    """
    return captioner_identity(_identity(directory), captioner_type(directory), options)


def load_captioner(
    directory: Path, *, device: torch.device, options: CaptionerOptions
) -> Captioner:
    """The captioner of a directory.

    Raises:
        ConfigError: a file is missing or broken, or weights do not fit.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    kind = captioner_type(directory)
    for what, names in (("image processor", IMAGE_FILES), ("tokenizer", TEXT_FILES)):
        if not any((directory / name).is_file() for name in names):
            raise ConfigError(
                f"model: {directory} has no {what}: one of {', '.join(names)} must be there"
            )
    try:
        processor = AutoProcessor.from_pretrained(directory, backend=BACKEND, **LOADING)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise ConfigError(
            f"model: the processor of {directory} cannot be read: {first_line(error)}"
        ) from error
    model = load_network(AutoModelForImageTextToText, directory, KINDS[kind].name)
    model = model.requires_grad_(False).to(device, getattr(torch, options.precision))
    return Captioner(
        model=model,
        processor=processor,
        kind=kind,
        identity=_identity(directory),
        options=options,
        device=device,
    )


def _identity(directory: Path) -> dict[str, Any]:
    kind = captioner_type(directory)
    digest = directory_hash(directory)
    return {
        "model": f"{kind}@{digest[:HASH_DIGITS]}",
        "model_type": kind,
        "weights_sha256": digest,
        "libraries": library_versions(),
    }
