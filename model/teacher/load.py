"""A teacher from a model directory: converted, trained here, or the shipped glip-nano."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import GlipConfig
from model.files.directory import CONFIG_NAME, load_config
from model.files.pretrained import load_pretrained
from model.files.shipped import SHIPPED, SHIPPED_NANO, shipped_nano
from model.files.source import resolve_source
from model.inputs.preprocess import Preprocessor
from model.inputs.tokenizer import VOCAB_NAME, directory_tokenizer
from model.outputs import GlipOutput, TextFeatures, TokenBatch
from model.teacher.asking import BatchedTeacher
from model.teacher.detectors.kinds import GLIP, KINDS, model_type
from model.teacher.detectors.load import detector_fingerprint, load_detector
from model.teacher.ensemble import (
    ENSEMBLE_SCORES,
    EnsembleTeacher,
    ensemble_identity,
    members_of,
)
from model.teacher.glip import GLIP_SCORES, Network, Teacher
from model.teacher.options import TeacherOptions
from model.teacher.precision import settle_precision
from model.teacher.tiles import TiledTeacher
from schemas.errors import ConfigError
from schemas.grounder import ScoreFacts

NANO_NOTE = (
    "glip-nano was trained on drawings made by code and has never seen a photograph; for real "
    "pictures give --teacher a directory made by `glipforge convert` (see `glipforge models`)"
)
HASH_DIGITS = 12
AnyTeacher = BatchedTeacher[Any] | EnsembleTeacher | TiledTeacher


def load_teacher(
    source: Path | str | None = None,
    *,
    device: str = "auto",
    options: TeacherOptions | None = None,
) -> AnyTeacher:
    """The teacher of a model directory, or of several with commas between them: an ensemble.

    Args:
        source: A directory with `config.json` and safetensors, as `glipforge convert` and
            `glipforge pretrain` write it or transformers saves a detector (see
            `model.teacher.detectors.kinds`), or `owner/name` of one on the Hugging Face hub; None
            or `shipped`: the shipped glip-nano.
        device: cpu, cuda, cuda:1; auto takes a GPU where there is one.
        options: Thresholds, sizes, precision, batch size.

    Raises:
        MissingDependency: the shipped weights are not in this installation, or the hub does not
            give what was asked for.
        ConfigError: no model directory, another architecture, or no such device.
    """
    members = members_of(source)
    found = [_load_one(one, device, options) for one in members]
    teacher = EnsembleTeacher(found) if len(found) > 1 else found[0]
    return teacher if teacher.options.num_views == 1 else TiledTeacher(teacher)


def _load_one(
    source: Path | str | None, device: str, options: TeacherOptions | None
) -> BatchedTeacher[Any]:
    path = _directory(SHIPPED if source is None else source)
    place = torch_device(device)
    kind = model_type(path)
    options = options or TeacherOptions()
    if kind != GLIP:
        settled = settle_precision(options, kind, place)
        return load_detector(path, kind, options=settled, device=place)
    model = load_pretrained(path)
    network = model.eval().requires_grad_(False).to(place)
    return _teacher(path, network, model.config, options, place)


def teacher_identity(
    source: Path | str | None = None,
    *,
    device: str = "auto",
    options: TeacherOptions | None = None,
) -> tuple[str, Mapping[str, object]]:
    """The `teacher_id` and `fingerprint()` that `load_teacher` would give, without loading it.

    Raises:
        MissingDependency, ConfigError: as `load_teacher`.
    """
    if len(members := members_of(source)) > 1:
        found = [teacher_identity(one, device=device, options=options) for one in members]
        return ensemble_identity(found)
    path = _directory(SHIPPED if source is None else source)
    kind = model_type(path)
    options = options or TeacherOptions()
    place = named_device(device)
    if kind != GLIP:
        return detector_fingerprint(path, kind, settle_precision(options, kind, place))
    teacher = _teacher(path, _NotLoaded(), load_config(path), options, place)
    return teacher.teacher_id, teacher.fingerprint()


class _NotLoaded:
    """In place of a network whose weights nobody needs."""

    def encode_image(self, pixels_B3HW: Tensor, /) -> Sequence[Tensor]:
        raise RuntimeError("this teacher was made to be identified, not to be asked")

    def encode_text(self, tokens: TokenBatch, /) -> TextFeatures:
        raise RuntimeError("this teacher was made to be identified, not to be asked")

    def predict(self, pyramid: Sequence[Tensor], text: TextFeatures, /) -> GlipOutput:
        raise RuntimeError("this teacher was made to be identified, not to be asked")


def _teacher(
    path: Path,
    network: Network,
    config: GlipConfig,
    options: TeacherOptions,
    place: torch.device,
) -> Teacher:
    digest = content_hash(path)
    return Teacher(
        model=network,
        tokenizer=directory_tokenizer(path, config.text.vocab_size),
        preprocessor=Preprocessor(
            min_size=config.min_size, max_size=config.max_size, divisor=config.size_divisor
        ),
        teacher_id=f"{config.preset}@{digest[:HASH_DIGITS]}",
        weights={"preset": config.preset, "weights_sha256": digest},
        options=settle_precision(options, config.preset, place),
        device=place,
        max_tokens=config.max_tokens,
        note=_note(path, config),
    )


def teacher_note(source: Path | str | None = None) -> str:
    """What a user must know about a teacher; empty where there is nothing. Nothing is loaded."""
    if len(members := members_of(source)) > 1:
        return "; ".join(dict.fromkeys(note for one in members if (note := teacher_note(one))))
    path = _directory(SHIPPED if source is None else source)
    return _note(path, load_config(path)) if model_type(path) == GLIP else ""


def teacher_scores(source: Path | str | None = None) -> ScoreFacts:
    """What the scores of a teacher are. Nothing is loaded."""
    if len(members_of(source)) > 1:
        return ENSEMBLE_SCORES
    kind = model_type(_directory(SHIPPED if source is None else source))
    return GLIP_SCORES if kind == GLIP else KINDS[kind].scores


def _note(path: Path, config: GlipConfig) -> str:
    """Of the shipped weights alone: what others of the same shape have seen is not known here."""
    if config.preset != "glip-nano" or not SHIPPED_NANO.is_dir():
        return ""
    is_shipped = path == SHIPPED_NANO or content_hash(path) == content_hash(SHIPPED_NANO)
    return NANO_NOTE if is_shipped else ""


def teacher_directories(source: Path | str | None = None) -> tuple[Path, ...]:
    """The local directory of a teacher, of an ensemble those of its members; fetched, and
    converted, where they are not there yet.

    Raises:
        MissingDependency, ConfigError: as `load_teacher`.
    """
    return tuple(_directory(SHIPPED if one is None else one) for one in members_of(source))


def _directory(source: Path | str) -> Path:
    if source == SHIPPED:
        return shipped_nano()
    try:
        return resolve_source(source, accepts=model_type)
    except ConfigError as error:
        raise ConfigError(
            f"teacher: {error}; `glipforge convert` makes one from an official checkpoint, "
            "`glipforge pretrain` writes OUT/model"
        ) from error


def torch_device(name: str) -> torch.device:
    """The device of a name; auto takes a GPU where there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    device = named_device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        others = "cuda, cpu or auto" if count else "cpu or auto"
        raise ConfigError(f"device {name!r}: {count} CUDA devices here; try {others}")
    if device.type not in ("cpu", "cuda"):
        try:
            torch.zeros(1, device=device).item()  # `meta` is one without values
        except (RuntimeError, AssertionError, ImportError) as error:
            raise ConfigError(f"device {name!r} is not here; try cuda, cpu or auto") from error
    return device


def named_device(name: str) -> torch.device:
    """The device of a name, which need not be here: a driver may be without its workers' GPUs.

    Raises:
        ConfigError: no device has such a name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from error


def content_hash(directory: Path) -> str:
    """sha256 over the names and bytes of configuration, weights and vocabulary."""
    files = [
        path
        for path in sorted(directory.iterdir())
        if path.name in (CONFIG_NAME, VOCAB_NAME) or path.suffix == ".safetensors"
    ]
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name}\n{path.stat().st_size}\n".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
