"""Model directories: `config.json`, safetensors (in shards when large), the vocabulary.

`config.json` is written last, so a directory that has one is whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from model.config import GlipConfig
from model.files.weight_files import INDEX_NAME, WEIGHTS_NAME, indexed_files, refuse_stand_in
from model.inputs.tokenizer import SHIPPED_VOCAB, VOCAB_NAME
from model.network.glip import Glip
from schemas.atomic import write_whole
from schemas.errors import ConfigError, reason_of
from schemas.spread import in_parts

CONFIG_NAME = "config.json"
MODEL_TYPE = "glip"
SHARD_BYTES = 1_000_000_000
"""Weights beyond this are divided over several files."""
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
"""How safetensors tells of an error of the operating system; it has no number of its own."""
_NOT_FIELDS = ("model_type", "architectures", "transformers_version", "dtype")


def save_pretrained(
    model: Glip,
    directory: Path | str,
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    vocab: Path | None = None,
) -> Path:
    """Write a model directory over what is there.

    Args:
        model: The weights come to the CPU one by one.
        directory: Made if it is not there.
        dtype: What floating-point weights are stored as; None: as they are.
        shard_bytes: Largest size of one weights file.
        vocab: The tokenizer's word pieces; the shipped BERT vocabulary if not given.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CONFIG_NAME).unlink(missing_ok=True)
    for stale in (*directory.glob("*.safetensors"), directory / INDEX_NAME):
        stale.unlink(missing_ok=True)
    tensors = {
        name: tensor.detach()
        .to("cpu", dtype if dtype and tensor.is_floating_point() else tensor.dtype)
        .contiguous()
        for name, tensor in model.state_dict().items()
    }
    _write_weights(tensors, directory, shard_bytes)
    shutil.copyfile(vocab or SHIPPED_VOCAB, directory / VOCAB_NAME)
    config = {"model_type": MODEL_TYPE, "architectures": ["Glip"], **model.config.to_dict()}
    write_whole(directory / CONFIG_NAME, (json.dumps(config, indent=1) + "\n").encode())
    return directory


def load_directory(directory: Path) -> Glip:
    """The model of a directory as `save_pretrained` writes it, in float32, in evaluation mode.

    Raises:
        ConfigError: a broken file, or weights that do not fit the configuration; names the first
            difference.
    """
    config = load_config(directory)
    try:
        with without_random_values():
            model = Glip(config)
    except ConfigError as error:
        raise _of_file(directory / CONFIG_NAME, error) from error
    except Exception as error:  # sizes that fit alone, and not together
        found = f"no network can be built of it: {type(error).__name__}: {error}"
        raise _of_file(directory / CONFIG_NAME, found) from error
    state = read_weights(directory)
    check_state(state, model.state_dict(), where=str(directory))
    model.load_state_dict(state, assign=True)
    return model.eval()


def without_random_values() -> AbstractContextManager[Any]:
    """Within it networks are built without their random initialisation: quick, to be loaded."""
    return _SkipRandom()


def load_config(directory: Path) -> GlipConfig:
    """The configuration in a model directory.

    Raises:
        ConfigError: it is missing, no JSON, or of another kind of model.
    """
    path = directory / CONFIG_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}") from error
    if not isinstance(raw, dict) or raw.get("model_type") != MODEL_TYPE:
        kind = raw.get("model_type") if isinstance(raw, dict) else type(raw).__name__
        raise ConfigError(f"{path}: model_type must be {MODEL_TYPE!r}, got {kind!r}")
    fields = {name: value for name, value in raw.items() if name not in _NOT_FIELDS}
    try:
        return GlipConfig.from_dict(fields, where=str(path))
    except ConfigError as error:
        raise _of_file(path, error) from error


def _of_file(path: Path, reason: object) -> ConfigError:
    """Say which file it is, and what to do."""
    said = str(reason).removeprefix(f"{path}: ")
    return ConfigError(f"{path}: {said}. Restore the file, or convert or export the model again")


def read_weights(directory: Path) -> dict[str, Tensor]:
    """All tensors of a model directory; floating point becomes float32, others stay.

    Raises:
        ConfigError: a file is missing or broken.
    """
    index = directory / INDEX_NAME
    paths = indexed_files(index) if index.is_file() else [directory / WEIGHTS_NAME]
    state: dict[str, Tensor] = {}
    for path in paths:
        refuse_stand_in(path)
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118
                    tensor = file.get_tensor(name)
                    state[name] = tensor.float() if tensor.is_floating_point() else tensor
        except (OSError, SafetensorError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"{path} cannot be read as safetensors: {reason_of(error)}. Restore the file, or "
                "convert or export the model again"
            ) from error
    return state


def check_state(
    state: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    where: str,
    architecture: str = "its config.json",
) -> None:
    """Compare names and shapes.

    Raises:
        ConfigError: names how many tensors differ, and the first of them.
    """
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    misshapen = [
        f"{name} has shape {list(state[name].shape)}, not {list(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    # A weight of whole numbers is one that something has rounded, or another tensor.
    rounded = [
        f"{name} of {state[name].dtype}"
        for name in wanted
        if name in state and wanted[name].is_floating_point() > state[name].is_floating_point()
    ]
    raise_difference(
        where,
        {
            "missing": missing,
            "unexpected": unexpected,
            "of another shape": misshapen,
            "without fractions": rounded,
        },
        architecture,
    )


def raise_difference(
    where: str, differences: Mapping[str, Iterable[str]], architecture: str = "its config.json"
) -> None:
    """Say what differs, or nothing.

    Raises:
        ConfigError: some list is not empty.
    """
    parts = []
    for kind, names in differences.items():
        if listed := list(names):
            count = f"{len(listed)} tensors are" if len(listed) > 1 else "1 tensor is"
            parts.append(f"{count} {kind}, first {listed[0]}")
    if parts:
        raise ConfigError(f"{where} does not fit {architecture}: {'; '.join(parts)}")


def _write_weights(tensors: Mapping[str, Tensor], directory: Path, shard_bytes: int) -> None:
    parts = in_parts(tensors.items(), lambda named: named[1].nbytes, max_weight=shard_bytes)
    shards = [dict(part) for part in parts]
    if len(shards) == 1:
        _save_readable(shards[0], directory / WEIGHTS_NAME)
        return
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file_name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _save_readable(shard, directory / file_name)
        places |= dict.fromkeys(shard, file_name)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index: dict[str, Any] = {"metadata": {"total_size": total}, "weight_map": places}
    (directory / INDEX_NAME).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _save_readable(tensors: dict[str, Tensor], path: Path) -> None:
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        if number := _SYSTEM_ERROR.search(str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise
    path.chmod(mode)  # safetensors makes files that only their owner can read


class _SkipRandom(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        random = (Tensor.uniform_, Tensor.normal_, Tensor.erfinv_)
        if func in random or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
