"""From a directory of transformers to a teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from model.files.source import IMAGE_FILES, VOCABULARIES
from model.files.transformers_directory import (
    directory_hash,
    library_versions,
    load_network,
    load_part,
)
from model.teacher.detectors.kinds import CONFIG_NAME, KINDS, DetectorKind
from model.teacher.detectors.pixels import BACKEND
from model.teacher.options import TeacherOptions
from schemas.errors import ConfigError

HASH_DIGITS = 12


def load_detector(
    directory: Path, model_type: str, *, options: TeacherOptions, device: torch.device
) -> Any:
    """The teacher of a directory whose config.json says `model_type`, one of `KINDS`.

    Raises:
        ConfigError: a file is missing or broken, weights do not fit, or an option has no meaning
            for this kind.
    """
    from model.teacher.detectors.grounding_dino import GroundingDinoTeacher
    from model.teacher.detectors.omdet import OmDetTeacher
    from model.teacher.detectors.owl import OwlTeacher
    from model.teacher.detectors.teacher import DetectorParts

    teachers: Mapping[str, Callable[[DetectorParts], Any]] = {
        "grounding-dino": GroundingDinoTeacher,
        "mm-grounding-dino": GroundingDinoTeacher,
        "owlv2": OwlTeacher,
        "owlvit": OwlTeacher,
        "omdet-turbo": OmDetTeacher,
    }
    from transformers import AutoConfig, AutoModelForZeroShotObjectDetection

    kind = KINDS[model_type]
    options = options.with_aggregation(kind.aggregation)
    teacher_id, weights = detector_identity(directory, kind)
    load_part(
        AutoConfig, directory, CONFIG_NAME, prefix=""
    )  # else the tokenizer would be blamed for it
    tokenizer, image_processor = _processors(directory, kind)
    model = load_network(AutoModelForZeroShotObjectDetection, directory, kind.name)
    parts = DetectorParts(
        kind=kind,
        model=model.requires_grad_(False).to(device),
        tokenizer=tokenizer,
        image_processor=image_processor,
        teacher_id=teacher_id,
        weights=weights,
        options=options,
        device=device,
    )
    try:
        return teachers[model_type](parts)
    except ConfigError as error:
        raise ConfigError(f"{directory}: {error}") from error


def detector_identity(directory: Path, kind: DetectorKind) -> tuple[str, dict[str, object]]:
    """Teacher id and what identifies the weights; nothing is loaded.

    The library's version is part of it: transformers 4.57 changed what OWLv2 pads images with.

    Raises:
        ConfigError: there are no weights in safetensors.
    """
    digest = directory_hash(directory)
    weights: dict[str, object] = {
        "model_type": kind.model_type,
        "weights_sha256": digest,
        "image_processor": BACKEND,
        "libraries": library_versions(),
    }
    return f"{kind.model_type}@{digest[:HASH_DIGITS]}", weights


def detector_fingerprint(
    directory: Path, model_type: str, options: TeacherOptions
) -> tuple[str, dict[str, object]]:
    """Teacher id and fingerprint that the loaded teacher would have."""
    kind = KINDS[model_type]
    teacher_id, weights = detector_identity(directory, kind)
    resolved = options.with_aggregation(kind.aggregation)
    return teacher_id, {
        "teacher_id": teacher_id,
        **weights,
        "options": dict(resolved.fingerprint()),
    }


def _processors(directory: Path, kind: DetectorKind) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoTokenizer

    # Without words transformers makes a tokenizer that knows its special tokens alone.
    for what, names in (("tokenizer", VOCABULARIES), ("image processor", IMAGE_FILES)):
        if not any((directory / name).is_file() for name in names):
            raise ConfigError(
                f"{directory} has no {what} of {kind.name}: one of {', '.join(names)} must be there"
            )
    tokenizer = load_part(AutoTokenizer, directory, "tokenizer", prefix="", use_fast=True)
    processor = load_part(
        AutoImageProcessor, directory, "image processor", prefix="", backend=BACKEND
    )
    if not tokenizer.is_fast:
        raise ConfigError(f"{directory}: its tokenizer knows no character offsets")
    return tokenizer, processor
