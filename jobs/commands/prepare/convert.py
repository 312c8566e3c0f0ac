"""Convert a published GLIP checkpoint to a model directory, or a model directory back.

Reads Microsoft's files and MMDetection's conversions of them; only tensors are read, never code.
A model directory also becomes an ONNX file of one image size, for runtimes without torch.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Literal

import tyro

from jobs.arguments import DirPath
from schemas.errors import ConfigError, reason_of

EXAMPLES = ("glipforge convert glip_tiny_model_o365_goldg_cc_sbu.pth --out glip-t",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge convert`."""

    checkpoint: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """A checkpoint file; with --to-official and --to-onnx a model directory."""
    out: DirPath
    """The model directory to write; with --to-official the .pth file, with --to-onnx the .onnx."""
    preset: str | None = None
    """The network that the file must hold (see `glipforge models`); default: whichever fits."""
    weights: Literal["model", "model_ema", "ema_state_dict"] = "model"
    """Which weights, where a file holds trained and averaged ones; the reference reads `model`,
    `ema_state_dict` is of mmengine."""
    to_official: bool = False
    """The way back: write a file that the reference's code loads."""
    to_onnx: bool = False
    """Write an ONNX file: pixels and word pieces in, boxes and word scores out. Its image size is
    fixed, its number of words is free; it is compared with the network where onnxruntime is."""
    size: str | None = None
    """--to-onnx: HEIGHTxWIDTH of the pixels; default: 4 : 3 at the network's own size."""


def run(config: Config) -> int:
    """Convert; nothing is written unless everything fits."""
    if config.to_official and config.to_onnx:
        raise ConfigError("give --to-official or --to-onnx, not both")
    if config.size is not None and not config.to_onnx:
        raise ConfigError("--size goes with --to-onnx")
    if config.to_official:
        return _to_official(config)
    if config.to_onnx:
        return _to_onnx(config)
    from model.files.directory import save_pretrained
    from model.files.official_file import convert_checkpoint

    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise ConfigError(f"--out {config.out} is there already; name a new directory")
    _refuse_elsewhere(config.checkpoint)
    model = convert_checkpoint(config.checkpoint, config.preset, config.weights)
    with _writing(config.out):
        save_pretrained(model, config.out)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{config.checkpoint.name}: {model.config.preset}, {parameters / 1e6:.1f} M parameters")
    print(f"wrote {config.out}; use it with --teacher {quote(str(config.out))}")
    return 0


def _refuse_elsewhere(checkpoint: Path) -> None:
    """What is not a file of this machine, and who fetches it."""
    from model.files.by_name import NAMES

    if checkpoint.exists():
        return
    if str(checkpoint) in NAMES:
        raise ConfigError(
            f"convert reads a file; `glipforge models --fetch {checkpoint}` fetches and converts "
            "this one"
        )
    if re.match(r"\w+:/", str(checkpoint)):
        raise ConfigError(f"convert reads a file of this machine; fetch it first, got {checkpoint}")


def _to_official(config: Config) -> int:
    from model.files.official_names import to_official
    from model.files.pretrained import load_pretrained
    from model.files.torch_file import write_torch

    _check_file(config, "--to-official")
    model = load_pretrained(config.checkpoint)
    state = to_official(model.state_dict(), model.config)
    with _writing(config.out):
        write_torch({"model": {name: tensor.clone() for name, tensor in state.items()}}, config.out)
    print(f"wrote {config.out}: {len(state)} tensors in the published layout")
    return 0


def _to_onnx(config: Config) -> int:
    from model.files.pretrained import load_pretrained
    from model.interop.onnx_export import compare_onnx, export_onnx, input_size
    from schemas.errors import MissingDependency

    _check_file(config, "--to-onnx")
    model = load_pretrained(config.checkpoint)
    size = input_size(model.config, _size(config.size))
    with _writing(config.out):
        said = export_onnx(model, config.out, size)
    print(f"wrote {config.out}: {said['preset']} for images of {size[0]}x{size[1]} (height, width)")
    print("in   pixels, input_ids, attention_mask; out   boxes, token_scores, centerness")
    print(f"score of a phrase: {said['score']}")
    print("not in the file: resizing, word pieces, the choice and merging of boxes")
    try:
        differences = compare_onnx(model, config.out, size)
    except MissingDependency as error:
        print(f"not compared with the network: {error}")
        return 0
    shown = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    print(f"largest difference to the network, on noise: {shown}")
    return 0


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Nothing is left where it fails: the same command is to work once there is room."""
    was_folder = path.is_dir()
    try:
        yield
    except BaseException as error:
        _remove(path, keep_folder=was_folder)
        if not isinstance(error, OSError):
            raise
        raise ConfigError(f"--out {path} cannot be written: {reason_of(error)}") from error


def _remove(path: Path, *, keep_folder: bool) -> None:
    with contextlib.suppress(OSError):
        if not path.is_dir():
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # of ONNX
        elif keep_folder:  # it was empty
            for file in path.iterdir():
                file.unlink()
        else:
            shutil.rmtree(path)


def _check_file(config: Config, option: str) -> None:
    if config.preset is not None:
        raise ConfigError(f"--preset does not go with {option}: the directory names its own")
    if config.out.exists():
        raise ConfigError(f"--out {config.out} is there already; name a new file")
    if not config.out.parent.is_dir():
        raise ConfigError(f"--out: there is no folder {str(config.out.parent)!r}")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, cross, width = text.partition("x")
    if not (cross and height.isdigit() and width.isdigit()):
        raise ConfigError(f"size must be HEIGHTxWIDTH, as 800x1088, got {text!r}")
    return int(height), int(width)
