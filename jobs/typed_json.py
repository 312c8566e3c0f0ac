"""JSON to frozen dataclasses and back, refusing what does not fit with the field's full name."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from schemas.errors import ConfigError

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Dataclasses, tuples and paths as what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[T], raw: object, where: str) -> T:
    """Build `kind` from parsed JSON.

    Args:
        kind: A dataclass, or anything that one of its fields may be.
        raw: What `json.loads` gave.
        where: Name of the value in errors.

    Raises:
        ConfigError: an unknown or missing field, or a value of another type.
    """
    return typing.cast(T, _build(kind, raw, where))


def read_json(path: Path) -> object:
    """Parse a JSON file.

    Raises:
        ConfigError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


def set_field(raw: dict[str, Any], assignment: str) -> None:
    """Apply `a.b.c=VALUE` to parsed JSON in place; VALUE is JSON, or else taken as text.

    `NAME+=VALUE` appends to a list.

    Raises:
        ConfigError: there is no `=`, or the path leads through something that has no fields.
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name.rstrip("+"):
        raise ConfigError(f"--set needs NAME=VALUE, got {assignment!r}")
    *parents, last = name.removesuffix("+").split(".")
    target: Any = raw
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ConfigError(f"--set {assignment}: {parent!r} has no fields")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    target[last] = [*target.get(last, ()), value] if name.endswith("+") else value


def _build(kind: Any, raw: object, where: str) -> object:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, raw, where)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        if raw not in args:
            raise ConfigError(f"{where} must be one of {', '.join(map(str, args))}, got {raw!r}")
        return raw
    if origin in (typing.Union, types.UnionType):
        if raw is None and type(None) in args:
            return None
        (inner,) = (arg for arg in args if arg is not type(None))
        return _build(inner, raw, where)
    if origin is tuple:
        return _tuple(args, raw, where)
    if origin is Mapping or origin is dict:
        if not isinstance(raw, Mapping):
            raise ConfigError(f"{where} must be an object, got {raw!r}")
        return dict(raw)
    if kind is Path:
        return Path(_scalar(str, raw, where))
    return _scalar(kind, raw, where)


def _dataclass(kind: Any, raw: object, where: str) -> object:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} must be an object, got {raw!r}")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in raw:
        if name not in fields:
            raise ConfigError(f"{where}.{name} is unknown; allowed: {', '.join(sorted(fields))}")
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in raw:
            raise ConfigError(f"{where}.{name} is missing")
    return kind(**{name: _build(hints[name], raw[name], f"{where}.{name}") for name in raw})


def _tuple(args: tuple[Any, ...], raw: object, where: str) -> tuple[object, ...]:
    if not isinstance(raw, list | tuple):
        raise ConfigError(f"{where} must be a list, got {raw!r}")
    if len(args) == 2 and args[1] is Ellipsis:
        kinds: tuple[Any, ...] = (args[0],) * len(raw)
    elif len(args) == len(raw):
        kinds = args
    else:
        raise ConfigError(f"{where} must have {len(args)} entries, got {len(raw)}")
    return tuple(
        _build(kind, entry, f"{where}[{number}]")
        for number, (kind, entry) in enumerate(zip(kinds, raw, strict=True))
    )


def _scalar(kind: Any, raw: object, where: str) -> Any:
    fits = isinstance(raw, kind) and not (kind in (int, float) and isinstance(raw, bool))
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if not fits:
        raise ConfigError(f"{where} must be of type {kind.__name__}, got {raw!r}")
    return raw
