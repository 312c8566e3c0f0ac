"""What every directory of transformers has, whatever its model is for: its hash and its network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from model.files.directory import raise_difference
from model.files.source import FILES, resolve_source
from model.files.weight_files import (
    INDEX_NAME,
    WEIGHTS_NAME,
    indexed_files,
    refuse_stand_in,
    require_real_numbers,
)
from schemas.errors import ConfigError, MissingDependency, reason_of

HASH_DIGITS = 12
ADAPTER_NAME = "adapter_config.json"
_LONGEST = 300
"""Characters of a library's own words in a message; some lists of what it knows are pages long."""
LOADING: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched behind our back, and no code of a repository is run."""


def directory_hash(directory: Path) -> str:
    """sha256 over the names and bytes of all that is read.

    Raises:
        ConfigError: there are no weights in safetensors, not all of them, an adapter beside them
            that would change them, or a file that is only a pointer to the right one.
    """
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        raise ConfigError(
            f"{directory} has no *.safetensors; weights of other formats may hold code and are not "
            "read. Load it in a place that you trust and call save_pretrained on it"
        )
    if not (directory / WEIGHTS_NAME).is_file() and (directory / INDEX_NAME).is_file():
        indexed_files(directory / INDEX_NAME)
    if (directory / ADAPTER_NAME).is_file():
        raise ConfigError(
            f"{directory} has {ADAPTER_NAME}: an adapter would be put over its weights. Merge it "
            "(merge_and_unload of peft), call save_pretrained, and give that directory"
        )
    digest = hashlib.sha256()
    for path in sorted([*weights, *(directory / name for name in FILES)]):
        if path.is_file():
            refuse_stand_in(path)
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


def load_part(
    auto: Any, directory: Path, what: str, *, prefix: str = "model: ", **options: Any
) -> Any:
    """The tokenizer or processor of a directory.

    Args:
        auto: An Auto class of transformers.
        directory: With the files of it.
        what: What it is, for errors.
        prefix: Of errors, the option that named the directory.
        options: For the class.

    Raises:
        ConfigError: its files are broken, or it needs a package.
    """
    try:
        with _without_hub():
            return auto.from_pretrained(directory, **options, **LOADING)
    except MemoryError:
        raise
    except Exception as error:  # over a file that it did not write the library raises anything
        needs = "; pip install sentencepiece" if "sentencepiece" in str(error).lower() else ""
        raise ConfigError(
            f"{prefix}the {what} of {directory} cannot be read: {first_line(error)}{needs}"
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
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with _without_hub():
            model, info = auto.from_pretrained(
                directory,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                dtype=torch.float32,
                output_loading_info=True,
                **LOADING,
            )
    except MemoryError:
        raise
    except Exception as error:  # over a file that it did not write the library raises anything
        raise ConfigError(f"{directory} cannot be read as {name}: {first_line(error)}") from error
    finally:
        if bars:
            logging.enable_progress_bar()
    raise_difference(
        str(directory),
        {
            "missing": sorted(info["missing_keys"]),
            "of another shape": [
                f"{name} has shape {list(found)}, not {list(wanted)}"
                for name, found, wanted in sorted(info["mismatched_keys"])
            ],
        },
    )
    require_real_numbers(directory)
    if not any(bool(weights.any()) for weights in model.parameters()):
        raise ConfigError(f"{directory} holds zeros alone: these are no weights")
    return model.eval()


@contextmanager
def _without_hub() -> Iterator[None]:
    """Within it the hub is not asked: a config.json may name another repository as its backbone,
    which transformers fetches in spite of `local_files_only`."""
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ValueError(
            "it names another repository of the hub, as its backbone perhaps, and a teacher is one "
            "directory. Load it where the hub is, call save_pretrained, and give that directory"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before


def first_line(error: BaseException) -> str:
    """Of what an error says: some of transformers' are pages long."""
    lines = reason_of(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    if len(lines) > 1 and first.endswith(":"):
        first = f"{first} {lines[1].strip()}"
    if isinstance(error, KeyError):  # its words are the key alone
        first = f"{type(error).__name__}: {first}"
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
