"""Training checkpoints: one file each, complete or absent, kept by a policy.

A file holds the weights, their averages, the optimiser, the loss scaler, the step and the
fingerprint of the recipe. The position in the data, the learning rate and all random numbers are
functions of the step, so there is nothing else to restore.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from model.files.torch_file import save_torch
from model.training.seal import check_seal, seal
from schemas.atomic import replacing
from schemas.checked import Count, CountOrZero, checked
from schemas.errors import DataError

CHECKPOINT_DIRECTORY = "checkpoints"
CHECKPOINT_VERSION = 2
_WITHOUT_DIGEST = 1
_DAMAGES = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
)
"""What the reader raises over bytes that are not a checkpoint."""
_NAME = re.compile(r"step-(\d{9})\.pt")


@checked(frozen=True, slots=True, kw_only=True)
class KeepPolicy:
    """Which checkpoints stay on disk."""

    last: Count = 2
    """The newest ones; at least 1."""
    every: CountOrZero = 0
    """Those at a multiple of so many steps stay for ever; 0: none."""


def checkpoint_path(directory: Path, step: int) -> Path:
    """Where the checkpoint after `step` optimiser steps is."""
    return directory / f"step-{step:09d}.pt"


def list_checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """(step, path) of every complete checkpoint, oldest first."""
    if not directory.is_dir():
        return []
    found = [
        (int(match.group(1)), path)
        for path in directory.iterdir()
        if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found)


def save_checkpoint(
    directory: Path, step: int, state: Mapping[str, object], policy: KeepPolicy
) -> Path:
    """Write the checkpoint of `step`, then delete what the policy does not keep.

    Raises:
        OSError: the disk takes no more.
    """
    path = checkpoint_path(directory, step)
    with replacing(path) as stream:
        save_torch({"version": CHECKPOINT_VERSION, "step": step, **state}, stream, path)
        seal(stream)
    _prune(directory, policy)
    return path


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint; tensors come to the CPU, and nothing but data is ever unpickled.

    Raises:
        DataError: the file is damaged, or not a checkpoint of a version that this code reads.
    """
    try:
        is_sealed = check_seal(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        version = state.get("version") if isinstance(state, dict) else None
        if version == CHECKPOINT_VERSION and not is_sealed:
            raise ValueError("the digest at its end is gone")
    except _DAMAGES as error:
        raise DataError(
            f"{path} cannot be read as a checkpoint: {error}. {_without(path)}"
        ) from error
    if version not in (_WITHOUT_DIGEST, CHECKPOINT_VERSION):
        raise DataError(
            f"{path} has checkpoint version {version!r}; this glipforge reads {CHECKPOINT_VERSION}"
        )
    return state


def load_newest(directory: Path, say: Callable[[str], None]) -> tuple[int, Path, dict] | None:
    """(step, path, state) of the newest checkpoint that is whole; None if there is none at all.

    Args:
        directory: Of the checkpoints.
        say: Gets a sentence for each damaged one that is passed over.

    Raises:
        DataError: there are checkpoints, and none can be read.
    """
    found = list_checkpoints(directory)
    while found:
        step, path = found.pop()
        try:
            return step, path, load_checkpoint(path)
        except DataError as error:
            if not found:
                raise
            say(f"{error}; now the run goes on from step {found[-1][0]} by itself")
    return None


def _without(path: Path) -> str:
    """What the run does when the file is deleted."""
    older = [step for step, other in list_checkpoints(path.parent) if other.name < path.name]
    if older:
        return f"Delete it, and the run goes on from step {older[-1]}, the checkpoint before"
    return "Delete it, and the run starts again: there is no checkpoint before"


def _prune(directory: Path, policy: KeepPolicy) -> None:
    found = list_checkpoints(directory)
    for step, path in found[: -policy.last]:
        if not (policy.every and step % policy.every == 0):
            path.unlink()
    for leftover in directory.glob(".step-*"):
        if not _is_written(leftover):  # its process was killed
            leftover.unlink(missing_ok=True)


def _is_written(staging: Path) -> bool:
    """Whether another process of this machine may still be writing the file."""
    number = staging.name.rpartition(".")[2]
    if not number.isdigit() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is there, and another user's
    return True
