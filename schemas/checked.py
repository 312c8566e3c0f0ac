"""Dataclasses that pydantic holds to their annotations: JSON that people write or read.

`checked` makes a class refuse a wrong value wherever it is made, `from_json` reads one from text.
Every refusal is one sentence with the field's whole name, the value and what is allowed; what is
allowed is read from the same JSON schema that `glipforge schema` prints.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from schemas.errors import ConfigError, GlipforgeError

__all__ = [
    "STRICT",
    "Count",
    "CountOrZero",
    "NotNegative",
    "Share",
    "adapter",
    "checked",
    "from_json",
    "from_object",
    "parse_object",
    "read_object",
    "sentence",
    "to_plain",
]

T = TypeVar("T")

_ADAPTERS: dict[type, TypeAdapter[Any]] = {}

STRICT = ConfigDict(extra="forbid", strict=True)
"""No field that is unknown, no text that is taken for a number."""

Share = Annotated[float, Field(ge=0, le=1)]


def _countable(value: int) -> int:
    """Refuses what no file counts: such a number is damage, and no float holds it."""
    if value >= 2**63:
        raise ValueError(f"must be below 2**63, got one of {value.bit_length()} bits")
    return value


Count = Annotated[int, Field(ge=1), AfterValidator(_countable)]
CountOrZero = Annotated[int, Field(ge=0), AfterValidator(_countable)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

if TYPE_CHECKING:
    from dataclasses import dataclass as checked
else:

    def checked(kind: type | None = None, /, **options: Any) -> Any:
        """As `dataclass`: the class that it makes raises ConfigError for what does not fit.

        A `__post_init__` that raises ValueError is heard as well: its text is a sentence.
        """
        if kind is None:
            return functools.partial(checked, **options)
        made = pydantic_dataclass(config=STRICT, **options)(kind)
        make = made.__init__

        @functools.wraps(make)
        def init(self: object, *args: Any, **values: Any) -> None:
            try:
                make(self, *args, **values)
            except ValidationError as error:
                raise ConfigError(sentence(error, made)) from None

        made.__init__ = init
        return made


def from_json(
    kind: type[T],
    text: str | bytes,
    *,
    where: str,
    what: str = "",
    version: int | None = None,
    error: type[GlipforgeError] = ConfigError,
    way_out: str = "",
) -> T:
    """Build `kind` from the text of a JSON file.

    Args:
        kind: A dataclass with `checked` or with the configuration `STRICT`.
        text: A JSON object.
        where: Name of the file, in errors.
        what: What the file should be, in errors: "plan" gives "is not a plan: ...".
        version: What its field `version` must be.
        error: What is raised.
        way_out: What a user does about a file that is not one, at the end of the message.

    Raises:
        GlipforgeError: of class `error`: not a JSON object, of another version, or a field is
            unknown, missing or not what is allowed.
    """
    try:
        made = adapter(kind).validate_json(text)
        if version is None or made.version == version:  # type: ignore[attr-defined]
            return made
    except ValidationError:
        pass
    try:
        raw = parse_object(text, where=where, error=error)
        if version is not None and raw.get("version") != version:
            said = f"{where} has version {raw.get('version')!r}"
            raise error(f"{said}; this glipforge reads version {version}")
        prefix = f"{where} is not a {what}: " if what else f"{where}: "
        return _build(kind, text, raw, prefix, error=error)
    except error as problem:
        raise error(f"{problem}; {way_out}" if way_out else str(problem)) from None


def from_object(kind: type[T], raw: object, *, where: str, also: tuple[str, ...] = ()) -> T:
    """Build `kind` from what `json.loads` gave.

    Args:
        kind: A checked dataclass.
        raw: Plain values.
        where: What goes before the names of its fields in errors, with its `.` or `: `.
        also: Fields of the file that the caller has taken out: an error names them as allowed.

    Raises:
        ConfigError: a field is unknown, missing or not what is allowed.
    """
    return _build(kind, json.dumps(raw), raw, where, also)


def _build(
    kind: type[T],
    text: str | bytes,
    raw: object,
    prefix: str,
    also: tuple[str, ...] = (),
    error: type[GlipforgeError] = ConfigError,
) -> T:
    try:
        try:
            return adapter(kind).validate_json(text)
        except ValidationError as failed:
            if failed.errors()[0]["type"] != "json_invalid":
                raise
        # File names may hold lone surrogates: `json` writes and reads them, pydantic does not.
        return adapter(kind).validate_python(raw, strict=False)
    except ValidationError as failed:
        raise error(sentence(failed, kind, prefix, also)) from None


def to_plain(value: object) -> Any:
    """A checked object as what JSON has."""
    return adapter(type(value)).dump_python(value, mode="json")


def parse_object(
    text: str | bytes, *, where: str, error: type[GlipforgeError] = ConfigError
) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        GlipforgeError: of class `error`: the text is not JSON, or another value.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as problem:  # not JSON, not UTF-8, or too deep
        raise error(f"{where} is not JSON: {problem}") from problem
    if not isinstance(raw, dict):
        raise error(f"{where} must hold a JSON object, got {type(raw).__name__}")
    return raw


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        ConfigError: it is missing, not JSON, or another value.
    """
    try:
        return parse_object(path.read_bytes(), where=str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """pydantic's reader and writer of a class, made once."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def sentence(
    error: ValidationError, kind: Any, prefix: str = "", also: tuple[str, ...] = ()
) -> str:
    """The first refusal in one sentence; `prefix` goes before the field's name."""
    first = error.errors(include_url=False)[0]
    place, value = first["loc"], first["input"]
    schema = adapter(kind).json_schema()
    if first["type"] == "value_error":
        text = str(first["ctx"]["error"])
        at = (prefix + _name(place)).rstrip(".: ")
        return f"{at}: {text}" if at else text
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        fields = _at(schema, place[:-1]).get("properties", {})
        allowed = [*(also if len(place) == 1 else ()), *sorted(fields)]
        return f"{prefix}{_name(place)} is unknown; allowed: {', '.join(allowed)}"
    if first["type"] == "missing" and not isinstance(place[-1], int):
        return f"{prefix}{_name(place)} is missing"
    if first["type"] in ("missing", "too_long", "too_short"):
        wanted, place = _at(schema, place[:-1] if first["type"] == "missing" else place), place
        number = wanted.get("maxItems" if first["type"] != "too_short" else "minItems")
        name = _name(place[:-1] if first["type"] == "missing" else place)
        return f"{prefix}{name} must have {number} entries, got {len(value)}"
    wanted = _at(schema, place)
    if isinstance(place[-1] if place else None, int) and wanted.get("type") != "object":
        place = place[:-1]  # of a list of plain values the value says which
    name = _name(place)
    return f"{prefix}{name} must be {_words(wanted)}, got {value!r}"


def _name(place: tuple[int | str, ...]) -> str:
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def _at(schema: Mapping[str, Any], place: tuple[int | str, ...]) -> dict[str, Any]:
    """The part of a JSON schema that is about one field."""

    def resolved(part: Mapping[str, Any]) -> dict[str, Any]:
        while True:
            if "$ref" in part:
                part = schema["$defs"][part["$ref"].rpartition("/")[2]]
            elif "anyOf" in part:
                part = next((one for one in part["anyOf"] if one.get("type") != "null"), {})
            else:
                return dict(part)

    found = resolved(schema)
    for step in place:
        if isinstance(step, int):
            entries = found.get("prefixItems")
            found = resolved(entries[step] if entries else found.get("items", {}))
        else:
            rest = found.get("additionalProperties")
            other = rest if isinstance(rest, dict) else {}
            found = resolved(found.get("properties", {}).get(step, other))
    return found


def _words(schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    kind = schema.get("type")
    if "enum" in schema:
        return f"one of {', '.join(map(repr, schema['enum']))}"
    if "const" in schema:
        return repr(schema["const"])
    if kind in ("integer", "number"):
        return _range(schema, "a whole number" if kind == "integer" else "a number")
    if kind == "array":
        entry = schema.get("items", {}).get("type")
        return f"a list of {_PLURAL[entry]}" if entry in _PLURAL else "a list"
    if "description" in schema and kind == "string":
        return str(schema["description"])
    return _KINDS.get(str(kind), "another value")


def _range(schema: Mapping[str, Any], noun: str) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    least, most = (above if low is None else low), (below if high is None else high)
    if least is not None and most is not None:
        left, right = "[" if low is not None else "(", "]" if high is not None else ")"
        return f"in {left}{least:g}, {most:g}{right}"
    if least is not None:
        return f"{noun} {'>=' if low is not None else '>'} {least:g}"
    if most is not None:
        return f"{noun} {'<=' if high is not None else '<'} {most:g}"
    return noun


_KINDS = {
    "boolean": "true or false",
    "string": "text",
    "object": "an object",
    "null": "null",
}
_PLURAL = {"string": "strings", "number": "numbers", "integer": "whole numbers"}
