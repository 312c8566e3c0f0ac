"""What a caller gives an operator: read, or refused by the name of the parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId

from pipeline.review.sync.store.label_store import WriteRefused


def object_id(value: Any, name: str) -> ObjectId:
    """An id of a sample, label or click, from its 24 hexadecimal digits.

    Raises:
        WriteRefused: it is none.
    """
    try:
        return ObjectId(str(value))
    except InvalidId:
        raise WriteRefused(f"{name} must be 24 hexadecimal digits, got {value!r:.100}") from None


def object_ids(params: Mapping[str, Any], name: str) -> list[ObjectId]:
    """A list of ids.

    Raises:
        WriteRefused: it is not a list, or an entry is not an id.
    """
    value = params.get(name)
    if not isinstance(value, list | tuple):
        raise WriteRefused(f"{name} must be a list of ids, got {value!r:.100}")
    return [object_id(entry, f"{name}[{place}]") for place, entry in enumerate(value)]


def whole_number(params: Mapping[str, Any], name: str) -> int:
    """A whole number, as such or as text: a form's choices are text.

    Raises:
        WriteRefused: it is none.
    """
    value = params.get(name)
    try:
        if not isinstance(value, bool | float):
            return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        pass
    raise WriteRefused(f"{name} must be a whole number, got {value!r:.100}")


def share(params: Mapping[str, Any], name: str) -> float:
    """A number from 0 to 1.

    Raises:
        WriteRefused: it is none.
    """
    value = params.get(name)
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = math.nan
    if not 0 <= found <= 1:
        raise WriteRefused(f"{name} must be a number from 0 to 1, got {value!r:.100}")
    return found
