"""The files of a model's weights: which they are, and what lies in place of one that is not it."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open

from schemas.errors import ConfigError

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
_HEAD_BYTES = 256
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")


def stand_in(path: Path) -> str:
    """What a file is that stands where a model's should: a sentence, or nothing where it may be
    the right one.

    A clone without git-lfs has pointers, a proxy's login page comes with status 200, and what
    broke off before it began is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return ""
    if not head:
        return "it is empty; fetch it again"
    if head.startswith(_POINTER):
        return "it is a Git LFS pointer; fetch the file itself with `git lfs pull`"
    if head.lstrip().lower().startswith(_PAGES):
        return "it is HTML, a page that a server sent in its place; fetch it again"
    return ""


def refuse_stand_in(path: Path) -> None:
    """Refuse a file that is not what its name says.

    Raises:
        ConfigError: says what it is, and how to get the right one.
    """
    if what := stand_in(path):
        raise ConfigError(f"{path} is not the file that its name says: {what}")


def indexed_files(index: Path) -> list[Path]:
    """The files that an index of weights names, all of them there.

    Raises:
        ConfigError: it is not such an index, names files elsewhere, or some that are not there.
    """
    refuse_stand_in(index)
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("weight_map must name files of this directory")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigError(f"{index} is not an index of weights: {error!r}") from error
    paths = [index.with_name(name) for name in names]
    if absent := [path.name for path in paths if not path.is_file()]:
        raise ConfigError(
            f"{index.parent} lacks {len(absent)} of its {len(paths)} files of weights, first "
            f"{absent[0]}; {index.name} names them. Fetch or copy the directory again"
        )
    return paths


def require_real_numbers(directory: Path) -> None:
    """Refuse weights that something has rounded: read as they are, they are other numbers.

    Raises:
        ConfigError: names the first weight of whole numbers, or of floats of a byte or less.
    """
    single = directory / WEIGHTS_NAME
    for path in [single] if single.is_file() else indexed_files(directory / INDEX_NAME):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                kind = file.get_slice(name).get_dtype() if name.endswith(".weight") else "F32"
                if kind not in ("F64", "F32", "F16", "BF16"):
                    raise ConfigError(
                        f"{path}: {name} is of {kind}: quantised weights are not read; take the "
                        "directory that they were made of"
                    )
