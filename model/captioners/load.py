"""From a directory of transformers, or an id of the hub, to a captioner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from model.captioners.captioner import BACKEND, Captioner, captioner_identity
from model.captioners.kinds import KINDS, captioner_type
from model.captioners.options import CaptionerOptions
from model.files.source import IMAGE_FILES, TEXT_FILES
from model.files.transformers_directory import (
    load_network,
    load_part,
    model_directory,
    model_identity,
    require_one,
)


def captioner_directory(source: str) -> Path:
    """The local directory of a captioner: the one named, or the hub's, fetched once.

    Raises:
        MissingDependency: the hub cannot be reached or does not have it.
        ConfigError: it is not a model that makes captions.
    """
    return model_directory(source, captioner_type)


def captioner_fingerprint(directory: Path, options: CaptionerOptions) -> Mapping[str, object]:
    """The fingerprint that the loaded captioner would have; nothing is loaded.

    Raises:
        ConfigError: there are no weights in safetensors, or a prompt that the kind does not know.
    """
    return captioner_identity(
        model_identity(directory, captioner_type(directory)), captioner_type(directory), options
    )


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
        require_one(directory, what, names)
    processor = load_part(AutoProcessor, directory, "processor", backend=BACKEND)
    model = load_network(AutoModelForImageTextToText, directory, KINDS[kind].name)
    model = model.requires_grad_(False).to(device, getattr(torch, options.precision))
    return Captioner(
        model=model,
        processor=processor,
        kind=kind,
        identity=model_identity(directory, captioner_type(directory)),
        options=options,
        device=device,
    )
