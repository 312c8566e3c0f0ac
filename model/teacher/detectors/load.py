"""From a directory of transformers to a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from model.files.source import FILES, IMAGE_FILES, TEXT_FILES
from model.teacher.detectors.kinds import KINDS, DetectorKind
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
    kind = KINDS[model_type]
    options = options.with_aggregation(kind.aggregation)
    teacher_id, weights = detector_identity(directory, kind)
    tokenizer, image_processor = _processors(directory, kind)
    model = _network(directory, kind).requires_grad_(False).to(device)
    return teachers[model_type](
        DetectorParts(
            kind=kind,
            model=model,
            tokenizer=tokenizer,
            image_processor=image_processor,
            teacher_id=teacher_id,
            weights=weights,
            options=options,
            device=device,
        )
    )


def detector_identity(directory: Path, kind: DetectorKind) -> tuple[str, dict[str, object]]:
    """Teacher id and what identifies the weights; nothing is loaded.

    The library's version is part of it: transformers 4.57 changed what OWLv2 pads images with.

    Raises:
        ConfigError: there are no weights in safetensors.
    """
    digest = _content_hash(directory)
    libraries = {
        name: ".".join(version(name).split(".")[:2]) for name in ("transformers", "torchvision")
    }
    weights: dict[str, object] = {
        "model_type": kind.model_type,
        "weights_sha256": digest,
        "image_processor": BACKEND,
        "libraries": libraries,
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


def _content_hash(directory: Path) -> str:
    """sha256 over the names and bytes of all that is read."""
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        raise ConfigError(
            f"{directory} has no *.safetensors; weights of other formats may hold code and are not "
            "read. Load it in a place that you trust and call save_pretrained on it"
        )
    digest = hashlib.sha256()
    for path in sorted([*weights, *(directory / name for name in FILES)]):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(f"{path.name}\n{path.stat().st_size}\n".encode())
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _processors(directory: Path, kind: DetectorKind) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoTokenizer

    for what, names in (("tokenizer", TEXT_FILES), ("image processor", IMAGE_FILES)):
        if not any((directory / name).is_file() for name in names):
            raise ConfigError(
                f"{directory} has no {what} of {kind.name}: one of {', '.join(names)} must be there"
            )
    try:
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(directory, use_fast=True, **options)
        processor = AutoImageProcessor.from_pretrained(directory, backend=BACKEND, **options)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the processor of {directory} cannot be read: {_first_line(error)}"
        ) from error
    if not tokenizer.is_fast:
        raise ConfigError(f"{directory}: its tokenizer knows no character offsets")
    return tokenizer, processor


def _network(directory: Path, kind: DetectorKind) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForZeroShotObjectDetection
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, info = AutoModelForZeroShotObjectDetection.from_pretrained(
            directory,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ConfigError(
            f"{directory} cannot be read as {kind.name}: {_first_line(error)}"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()
    for what in ("missing_keys", "mismatched_keys"):
        if wrong := sorted(map(str, info[what])):
            raise ConfigError(
                f"{directory} does not fit its config.json: {len(wrong)} tensors are "
                f"{what.removesuffix('_keys')}, first {wrong[0]}"
            )
    return model.eval()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
