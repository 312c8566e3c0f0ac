"""Reading checkpoint files of others: tensors alone, never code."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model.config import GlipConfig, get_preset
from model.files.directory import without_random_values
from model.files.official_names import (
    from_mmdet,
    from_official,
    is_mmdet,
    to_official,
    with_tuned_positions,
)
from model.files.weight_files import stand_in
from model.network.glip import Glip
from schemas.errors import ConfigError, reason_of

Choice = Literal["model", "model_ema", "ema_state_dict"]
"""`ema_state_dict` is what mmengine's EMAHook writes beside `state_dict`."""
OFFICIAL_PRESETS = ("glip-t-a", "glip-t", "glip-l")
_HOLDERS = ("state_dict", "model")
_AVERAGES = ("model_ema", "ema_state_dict")
_EMA_COUNTERS = ("steps", "n_averaged")
"""Numbers of updates that averaged models keep beside their weights."""
_WRAPPERS = ("module.", "_orig_mod.", "model.")
"""What data parallel, compiled and enclosing modules put before every name."""
_SCALAR = np.float64(0).__reduce__()[0]
_NUMBERS: list[Any] = [
    np.dtype,
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u1", "?")),
]
_CODE = re.compile(r"GLOBAL ([\w.]+)|class ([\w.]+)")


def read_checkpoint(path: Path, choice: Choice = "model") -> dict[str, Tensor]:
    """The tensors of a checkpoint in the published names, without `module.` and the like.

    Args:
        path: A file of `torch.save`, with a dictionary in it (bare, or below `model`,
            `model_ema`, or MMDetection's `state_dict`), or safetensors.
        choice: Which of the two sets of weights, where there are two.

    Raises:
        ConfigError: not there, truncated, holding code, or without tensors.
    """
    state: dict[str, Tensor] = {}
    for name, value in _state_dict(_read(path), choice, path).items():
        if not isinstance(value, Tensor):
            raise ConfigError(f"{path}: {name!r} is a {type(value).__name__}, not a tensor")
        if what := _no_numbers(value):
            raise ConfigError(f"{path}: {name!r} is a {what} tensor; save its numbers themselves")
        state[str(name)] = value
    if not state:
        raise ConfigError(f"{path} holds no tensors")
    while wrapper := next((w for w in _WRAPPERS if all(n.startswith(w) for n in state)), ""):
        state = {name.removeprefix(wrapper): tensor for name, tensor in state.items()}
    return from_mmdet(state) if is_mmdet(state) else state


def convert_checkpoint(path: Path, preset: str | None, choice: Choice = "model") -> Glip:
    """A checkpoint of the published kind as our model, on the CPU in float32.

    Args:
        path: See `read_checkpoint`.
        preset: The network that it must be; None: whichever of the published ones fits.
        choice: See `read_checkpoint`.

    Raises:
        ConfigError: the file is not such a checkpoint, or its tensors do not fit; names the first
            difference, and the preset that would fit if there is one.
    """
    state = read_checkpoint(path, choice)
    _require_finite(state, str(path))
    if preset is None:
        preset = _fitting_preset(state)
        if preset is None:
            raise ConfigError(
                f"{path} fits none of {', '.join(OFFICIAL_PRESETS)}; of the nearest: "
                f"{_nearest_difference(state, str(path))}"
            )
    config = with_tuned_positions(state, get_preset(preset))
    try:
        ours = _our_names(state, config, str(path))
    except ConfigError as error:
        fitting = _fitting_preset(state)
        hint = f"; it fits the preset {fitting}" if fitting else ""
        raise ConfigError(f"{error}{hint}") from None
    if not any(bool(tensor.any()) for tensor in ours.values()):
        raise ConfigError(f"{path} holds zeros alone: these are no weights")
    return model_of(config, ours)


def _require_finite(state: Mapping[str, Tensor], where: str) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ConfigError(f"{where}: {name} holds NaN or infinity; every answer would be NaN")


def _no_numbers(tensor: Tensor) -> str:
    """What kind of tensor it is, where a network cannot take its numbers as they are."""
    if tensor.is_meta:
        return "meta"
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout != torch.strided:
        return "sparse"
    return "complex" if tensor.is_complex() else ""


def model_of(config: GlipConfig, state: Mapping[str, Tensor]) -> Glip:
    """A network with weights that are known to fit, in evaluation mode."""
    with without_random_values():
        model = Glip(config)
    model.load_state_dict({name: t.float() for name, t in state.items()}, assign=True)
    return model.eval()


def _our_names(state: Mapping[str, Tensor], config: GlipConfig, where: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        wanted = Glip(config).state_dict()
    return from_official(state, config, wanted, where=where)


def _nearest_difference(state: Mapping[str, Tensor], where: str) -> str:
    """What the published network with the most names in common would lack."""

    def common(preset: str) -> int:
        return len(set(to_official_names(get_preset(preset))) & set(state))

    config = get_preset(max(OFFICIAL_PRESETS, key=common))
    try:
        _our_names(state, config, where)
    except ConfigError as error:
        return str(error)
    raise AssertionError("it fits")


def to_official_names(config: GlipConfig) -> frozenset[str]:
    """The published names of a network's tensors."""
    with torch.device("meta"):
        state = Glip(config).state_dict()
    return frozenset(to_official(state, config))


def _fitting_preset(state: Mapping[str, Tensor]) -> str | None:
    for name in OFFICIAL_PRESETS:
        try:
            _our_names(state, get_preset(name), "")
        except ConfigError:
            continue
        return name
    return None


def _read(path: Path) -> object:
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; give the checkpoint file in it")
    if not path.is_file():
        raise ConfigError(f"there is no checkpoint {str(path)!r}")
    if what := stand_in(path):
        raise ConfigError(f"{path} is not a checkpoint: {what}")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(
                f"{path} cannot be read as safetensors: {reason_of(error)}"
            ) from error
    try:
        # Numbers of numpy, such as figures of an evaluation, are data like tensors.
        with warnings.catch_warnings(), torch.serialization.safe_globals(_NUMBERS):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        match = _CODE.search(str(error))
        if match:
            raise ConfigError(
                f"{path} holds {match.group(1) or match.group(2)} besides tensors and is refused: "
                "loading such an object may run any code. If you trust the file (your own training "
                "wrote it, say), save its tensors alone and convert that: "
                "torch.save({'state_dict': torch.load(FILE, weights_only=False)['state_dict']}, "
                "NEW)"
            ) from error
        raise ConfigError(f"{path} is not a checkpoint of torch.save") from error
    except Exception as error:
        # A damaged file may fail anywhere within torch's reader.
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path} is truncated or no checkpoint of torch.save: {first}") from error


def _state_dict(loaded: object, choice: Choice, path: Path) -> Mapping[str, object]:
    if not isinstance(loaded, Mapping):
        raise ConfigError(f"{path} holds a {type(loaded).__name__}, not a dictionary of tensors")
    if choice != "model":
        inner = loaded.get(choice)
        if not isinstance(inner, Mapping):
            entries = ", ".join(sorted(map(str, loaded))[:8])
            raise ConfigError(f"{path} has no {choice}; it has {entries}")
        return {name: value for name, value in inner.items() if name not in _EMA_COUNTERS}
    for name in _HOLDERS:
        inner = loaded.get(name)
        if isinstance(inner, Mapping):
            return inner
    for name in _AVERAGES:
        if isinstance(loaded.get(name), Mapping):
            raise ConfigError(f"{path} has averaged weights alone: give --weights {name}")
    return loaded
