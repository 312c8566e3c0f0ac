"""Words of a command line to the `Config` of a command: tyro, and three rules of ours.

No repetition is lost: an option is a list or may be given once. Nothing is None by name. A message
names an option as it is typed (`--image-field`), although the code that raised it knows a field.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import stat
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from schemas.errors import ConfigError

_SAID_OF_A_FIELD = r"(?=: |,? (must|has|is|does|cannot|ends?|names?|holds?)\b)"
"""What comes after a field's name where a message begins with it."""
_SAID_OF_A_VALUE = r"(?= ('[^']*'|\"[^\"]*\") (exists|does not exist|must|is|cannot)\b)"
"""What comes after a field's name where a message begins with it and the value given."""
_WRITTEN = ("out", "errors", "sheet")
"""Options whose file is written: `--out /dev/null` is meant."""
_OF_THE_SHELL = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: how it is typed, the field it fills, and whether it may be repeated."""

    typed: str
    field: str
    is_list: bool
    choices: tuple[str, ...] = ()
    """What it takes, where that is one of some words."""


def parse(config_type: Any, words: Sequence[str], *, prog: str, description: str | None) -> Any:
    """The `Config` that the words describe.

    Raises:
        ConfigError: an option is repeated that takes one value, a value is not allowed, what has
            no name is given by one, or a pipe or a device where a file is read.
        SystemExit: help was asked for (0), or an option is unknown or missing (2); it was printed.
    """
    _refuse_repetitions(options_of(config_type), words)
    _refuse_named_positionals(config_type, words, prog)
    _refuse_near_misses(config_type, words)
    config = tyro.cli(
        config_type,
        args=list(words),
        prog=prog,
        description=description,
        config=(tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff),
        registry=_registry(),
    )
    _refuse_special_files(config)
    return config


def options_of(config_type: Any) -> dict[str, Option]:
    """Every option of a command and of its sub-commands, by how it is typed; one that is a list
    in one of them is one in all."""
    found: dict[str, Option] = {}
    for option in _walk(config_type, prefix=""):
        known = found.get(option.typed)
        if known is None or not known.is_list:
            found[option.typed] = option
    return found


def as_typed(message: str, options: Mapping[str, Option]) -> str:
    """The message with fields of the command named as options: `limit must be` becomes
    `--limit must be`. Quoted values stay, and so do words that are not options."""
    message, mark, keys = message.partition("; allowed: ")  # of a recipe: not options
    for option in options.values():
        if "_" in option.field:  # an identifier: it cannot be a word of a sentence
            name = rf"(?<![\w.'\"/=-]){re.escape(option.field)}(?![\w'\"/]|\.\w)"
            message = re.sub(name, option.typed, message)
        else:
            name = re.escape(option.field)
            said = f"(?:{_SAID_OF_A_FIELD}|{_SAID_OF_A_VALUE})"
            message = re.sub(rf"^{name}{said}", option.typed, message)
    return message + mark + keys


def _walk(kind: Any, prefix: str) -> Iterator[Option]:
    kind, _ = _bare(kind)
    if get_origin(kind) in (Union, types.UnionType):
        for member in get_args(kind):
            yield from _walk(member, prefix)
        return
    if not dataclasses.is_dataclass(kind):
        return
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint, marks = _bare(hints[field.name])
        if tyro.conf.Positional in marks:
            continue
        if _holds_dataclass(hint):
            omits = tyro.conf.OmitArgPrefixes in marks
            yield from _walk(hint, prefix if omits else f"{prefix}{_kebab(field.name)}.")
        else:
            # A field cannot be called `with`: tyro is told the option's name.
            told = next((mark.name for mark in marks if getattr(mark, "name", None)), None)
            typed = f"--{prefix}{told or _kebab(field.name)}"
            yield Option(
                typed=typed,
                field=field.name,
                is_list=tyro.conf.UseAppendAction in marks,
                choices=_choices(hint),
            )


def _bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    marks: tuple[Any, ...] = ()
    while get_origin(hint) is Annotated:
        hint, *more = get_args(hint)
        marks += tuple(more)
    return hint, marks


def _holds_dataclass(hint: Any) -> bool:
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return any(dataclasses.is_dataclass(_bare(member)[0]) for member in members)


def _choices(hint: Any) -> tuple[str, ...]:
    """Of a `Literal`, also one that may be None."""
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    found = [get_args(member) for member in members if get_origin(member) is Literal]
    return tuple(str(word) for words in found for word in words)


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _refuse_repetitions(options: Mapping[str, Option], words: Sequence[str]) -> None:
    values: dict[str, list[str]] = {}
    for number, word in enumerate(words):
        if not word.startswith("--"):
            continue
        typed, is_one_word, value = word.partition("=")
        typed = _kebab(typed)
        option = options.get(typed) or options.get(f"--{typed.removeprefix('--no-')}")
        if option is None or option.is_list:
            continue
        if not is_one_word:
            after = words[number + 1 : number + 2]
            value = after[0] if after and not after[0].startswith("--") else ""
        values.setdefault(option.typed, []).append(value)
    for typed, given in values.items():
        if len(given) > 1:
            shown = f", with {' and '.join(map(repr, given))}" if any(given) else ""
            raise ConfigError(
                f"{typed} was given {len(given)} times{shown}; it is taken once, and none of them "
                "is dropped in silence"
            )


def _refuse_named_positionals(config_type: Any, words: Sequence[str], prog: str) -> None:
    """`export --run RUN` where RUN stands alone: the parser would only miss a value."""
    known, alone = options_of(config_type), _positionals(config_type)
    step = [prog, *(word for word in words[:1] if word.isalpha())]
    for word in words:
        name = _kebab(word.partition("=")[0])
        if word.startswith("--") and name not in known and (shown := alone.get(name[2:])):
            said = " ".join([*step, shown])
            raise ConfigError(f"{name} is not an option: {shown} stands alone, as in `{said}`")


def _refuse_near_misses(config_type: Any, words: Sequence[str]) -> None:
    """`--format goldgg`, `review pul`: the parser lists what is allowed, and does not guess."""
    options = options_of(config_type)
    steps = _steps(config_type)
    if steps and words and not words[0].startswith("-"):
        _refuse_near_miss("there is no", words[0], steps)
    for number, word in enumerate(words):
        typed, is_one_word, value = word.partition("=")
        option = options.get(_kebab(typed)) if word.startswith("--") else None
        if option is not None and option.choices:
            value = value if is_one_word else "".join(words[number + 1 : number + 2])
            _refuse_near_miss(f"{option.typed}: there is no", value, option.choices)


def _refuse_near_miss(said: str, value: str, allowed: Iterable[str]) -> None:
    near = difflib.get_close_matches(value, list(allowed), n=1)
    if near and value not in allowed:
        raise ConfigError(
            f"{said} {value!r}, did you mean {near[0]}? allowed: {', '.join(allowed)}"
        )


def _steps(kind: Any) -> tuple[str, ...]:
    """Names of sub-commands, or the words that the first argument may be."""
    kind, _ = _bare(kind)
    if get_origin(kind) in (Union, types.UnionType):
        of_all = [mark for member in get_args(kind) for mark in _bare(member)[1]]
        return tuple(mark.name for mark in of_all if isinstance(getattr(mark, "name", None), str))
    if not dataclasses.is_dataclass(kind):
        return ()
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint, marks = _bare(hints[field.name])
        if tyro.conf.Positional in marks:
            return _choices(hint)
    return ()


def _positionals(kind: Any) -> dict[str, str]:
    """What is given without a name: its field's name and, in small letters, what help calls it ->
    what help calls it."""
    kind, _ = _bare(kind)
    found: dict[str, str] = {}
    if get_origin(kind) in (Union, types.UnionType):
        for member in get_args(kind):
            found |= _positionals(member)
    elif dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            _, marks = _bare(hints[field.name])
            if tyro.conf.Positional in marks:
                told = [mark.metavar for mark in marks if getattr(mark, "metavar", None)]
                shown = told[0] if told else field.name.upper()
                found |= dict.fromkeys((_kebab(field.name), shown.lower()), shown)
    return found


def _refuse_special_files(config: Any) -> None:
    """A pipe without a writer never begins and a device never ends; the shell's own, as of
    `@<(sort names)`, do both."""
    if not dataclasses.is_dataclass(config):
        return
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        _refuse_special_files(value)
        if field.name in _WRITTEN:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            path = str(one).removeprefix("@") if isinstance(one, str | Path) else ""
            if kind := "" if path.startswith(_OF_THE_SHELL) else _special_kind(path):
                raise ConfigError(f"{field.name}: {path} is a {kind}, not a file")


def _special_kind(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # not there, or not a path at all
        return ""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    from pipeline.storage.local_place import special_kind

    return special_kind(mode)


def _registry() -> ConstructorRegistry:
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def _text(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[str] | None:
        if info.type is not str:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="TEXT",
            instance_from_str=lambda words: words[0],
            is_instance=lambda value: isinstance(value, str),
            str_from_instance=lambda value: [value],
        )

    return registry
