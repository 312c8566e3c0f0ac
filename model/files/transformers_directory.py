"""What every directory of transformers has, whatever its model is for: its hash and its network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from model.files.source import FILES, resolve_source
from schemas.errors import ConfigError, MissingDependency, reason_of

HASH_DIGITS = 12
LOADING: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched behind our back, and no code of a repository is run."""


def directory_hash(directory: Path) -> str:
    """sha256 over the names and bytes of all that is read.

    Raises:
        ConfigError: there are no weights in safetensors.
    """
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


def model_directory(source: str, kind_of: Callable[[Path], str]) -> Path:
    """The local directory of a model that `--model` names: on this machine, or the hub's, fetched
    once.

    Raises:
        MissingDependency: the hub cannot be reached or does not have it.
        ConfigError: `kind_of` says that it is not a model of this use.
    """
    try:
        directory = resolve_source(source, accepts=kind_of)
    except MissingDependency as error:
        raise MissingDependency(f"model: {str(error).replace('--teacher', '--model')}") from error
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith("model: ") else f"model: {text}") from error
    kind_of(directory)
    return directory


def model_identity(directory: Path, kind: str) -> dict[str, Any]:
    """What of a directory changes its answers.

    Raises:
        ConfigError: there are no weights in safetensors.
    """
    digest = directory_hash(directory)
    return {
        "model": f"{kind}@{digest[:HASH_DIGITS]}",
        "model_type": kind,
        "weights_sha256": digest,
        "libraries": library_versions(),
    }


def require_one(directory: Path, what: str, names: tuple[str, ...]) -> None:
    """Refuse a directory that has none of some files.

    Raises:
        ConfigError: it has none of `names`, which are its `what`.
    """
    if not any((directory / name).is_file() for name in names):
        raise ConfigError(
            f"model: {directory} has no {what}: one of {', '.join(names)} must be there"
        )


def library_versions() -> dict[str, str]:
    """Of what makes pixels and numbers: other versions may give other ones."""
    return {
        name: ".".join(version(name).split(".")[:2]) for name in ("transformers", "torchvision")
    }


def load_part(auto: Any, directory: Path, what: str, **options: Any) -> Any:
    """The tokenizer or processor of a directory.

    Args:
        auto: An Auto class of transformers.
        directory: With the files of it.
        what: What it is, for errors.
        options: For the class.

    Raises:
        ConfigError: its files are broken, or it needs a package.
    """
    try:
        return auto.from_pretrained(directory, **options, **LOADING)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        needs = "; pip install sentencepiece" if "sentencepiece" in str(error).lower() else ""
        raise ConfigError(
            f"model: the {what} of {directory} cannot be read: {first_line(error)}{needs}"
        ) from error


def load_network(auto: Any, directory: Path, name: str) -> Any:
    """The network of a directory, in float32, in evaluation mode.

    Args:
        auto: An Auto class of transformers.
        directory: With config.json and safetensors.
        name: What it should be, for errors.

    Raises:
        ConfigError: a file is broken, or weights are missing or do not fit.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, info = auto.from_pretrained(
            directory,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **LOADING,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ConfigError(f"{directory} cannot be read as {name}: {first_line(error)}") from error
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


def first_line(error: BaseException) -> str:
    """Of what an error says: some of transformers' are pages long."""
    lines = reason_of(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
