"""Names under which captions, images and ids are usually found, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from schemas.errors import ConfigError

CAPTIONS = (
    "caption",
    "captions",
    "text",
    "TEXT",
    "sentence",
    "sentences",
    "alt_text",
    "description",
    "prompt",
    "comment",
    "raw",
    "grounding.caption",
)
IMAGE_PATHS = (
    "file_name",
    "image_path",
    "filename",
    "image",
    "path",
    "img",
    "image_url",
    "url",
    "URL",
    "image_name",
    "image_file",
    "filepath",
    "file_path",
)
IDS = ("id", "key", "record_id", "uid")
_MOST_LISTED = 50


def plain_name(name: str) -> str:
    """A field's name as `Image Name` and `image-name` have it too: `image_name`."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def field_value(row: dict[str, Any], name: str) -> Any:
    """The field of a row; `a.b` is also the field `b` of the object in `a`."""
    if name in row or "." not in name:
        return row.get(name)
    outer, _, inner = name.partition(".")
    value = row.get(outer)
    return field_value(value, inner) if isinstance(value, dict) else None


def fields_of(row: dict[str, Any]) -> list[str]:
    """The names that a row has, those inside of objects as `a.b` behind all others."""
    inner = [
        f"{name}.{field}"
        for name, value in row.items()
        if isinstance(value, dict)
        for field in fields_of(value)
    ]
    return [*row, *inner]


def choose_field(
    wanted: str | None,
    usual: Sequence[str],
    present: Iterable[str],
    *,
    option: str,
    where: str,
) -> str | None:
    """The wanted field, or the first usual one that is present; None where there is none.

    Raises:
        ConfigError: the wanted field is not present; the message lists what is.
    """
    names = list(present)
    if wanted is None:
        return next((name for name in usual if name in names), None) or (
            # Ids are taken at their word only: another field may count up for each image.
            None if usual is IDS else next(iter(_alike(usual, names)), None)
        )
    if wanted not in names:
        raise ConfigError(f"{option} {wanted!r} is not in {where}; there is: {listed(names)}")
    return wanted


def require_field(
    wanted: str | None,
    usual: Sequence[str],
    present: Iterable[str],
    *,
    option: str,
    where: str,
) -> str:
    """As `choose_field`, for a field that must be there.

    Raises:
        ConfigError: nothing fits; the message lists what is there and how to choose.
    """
    names = list(present)
    found = choose_field(wanted, usual, names, option=option, where=where)
    if found is None:
        raise ConfigError(
            f"{where} has none of {', '.join(usual)}; there is: {listed(names)}: choose one with "
            f"{option}"
        )
    return found


def not_taken(chosen: str | None, wanted: str | None, present: Iterable[str]) -> str:
    """What to say where other fields look like captions too; nothing where the user chose."""
    others = [name for name in CAPTIONS if name in set(present) and name != chosen]
    if wanted is not None or not others:
        return ""
    return f"; not read: {listed(others)} (--caption-field {others[0]} takes it)"


def have_any(usual: Sequence[str], present: Iterable[str]) -> bool:
    """True where `choose_field` finds one of the usual names, or one like it."""
    return bool(_alike(usual, list(present)))


def _alike(usual: Sequence[str], names: Sequence[str]) -> list[str]:
    plain = {plain_name(name): name for name in reversed(names)}
    return [plain[key] for key in map(plain_name, usual) if key in plain]


def listed(names: Sequence[str], *, quoted: bool = True) -> str:
    """Names for a message; of very many the first."""
    first = [repr(name) if quoted else name for name in names[:_MOST_LISTED]]
    more = f" and {len(names) - _MOST_LISTED:,} more" if len(names) > _MOST_LISTED else ""
    return (", ".join(first) or "nothing") + more
