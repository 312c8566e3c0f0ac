"""Brace and glob patterns of file names: `shards/{000..012}.tar`, `{train,val}/*.parquet`."""

from __future__ import annotations

import itertools
import re

from schemas.errors import ConfigError

MAX_NAMES = 5_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_MAGIC = re.compile(r"[*?]|\[[^\]/]+\]")


def has_glob(name: str) -> bool:
    """True where `name` holds `*`, `?` or `[...]`."""
    return _MAGIC.search(name) is not None


def has_braces(name: str) -> bool:
    """True where `name` holds `{a,b}` or `{0..9}`."""
    return any(_alternatives(found.group(1)) is not None for found in _BRACES.finditer(name))


def expand_braces(pattern: str) -> list[str]:
    """Every name that a brace pattern stands for, in its order; the pattern itself if it has none.

    A range keeps its zero padding: `{000..012}`. Braces that hold neither a comma nor a range are
    taken literally.

    Raises:
        ConfigError: a range runs backwards, or there are more than `MAX_NAMES` names.
    """
    for found in _BRACES.finditer(pattern):
        alternatives = _alternatives(found.group(1))
        if alternatives is None:
            continue
        head, tail = pattern[: found.start()], pattern[found.end() :]
        # The innermost braces come first; what is around them is expanded with each value.
        expanded = [expand_braces(f"{head}{value}{tail}") for value in alternatives]
        if sum(map(len, expanded)) > MAX_NAMES:
            raise ConfigError(f"{pattern!r} stands for more than {MAX_NAMES:,} files")
        return list(dict.fromkeys(itertools.chain.from_iterable(expanded)))
    return [pattern]


def fixed_folder(pattern: str) -> str:
    """The part of a pattern before the folder that first varies, without the final `/`."""
    first = min(
        (found.start() for found in [_MAGIC.search(pattern), _BRACES.search(pattern)] if found),
        default=len(pattern),
    )
    return pattern[:first].rpartition("/")[0]


def _alternatives(inside: str) -> list[str] | None:
    """The values of one pair of braces; None where the text is not a list or a range."""
    whole = _RANGE.fullmatch(inside)
    if whole is None:
        return inside.split(",") if "," in inside else None
    low, high = whole.groups()
    if int(high) < int(low):
        raise ConfigError(f"the range {{{inside}}} runs backwards; write {{{high}..{low}}}")
    if int(high) - int(low) >= MAX_NAMES:
        raise ConfigError(f"the range {{{inside}}} stands for more than {MAX_NAMES:,} files")
    padded = (low.startswith("0") and len(low) > 1) or (high.startswith("0") and len(high) > 1)
    width = max(len(low), len(high)) if padded else 0
    return [str(number).zfill(width) for number in range(int(low), int(high) + 1)]
