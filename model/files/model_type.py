"""What a directory of transformers says that it is."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from model.files.weight_files import stand_in
from schemas.errors import ConfigError, reason_of

CONFIG_NAME = "config.json"


def model_type(
    directory: Path, allowed: Collection[str], *, prefix: str = "", advice: str = ""
) -> str:
    """The `model_type` of its config.json.

    Args:
        directory: A model's.
        allowed: What it may be.
        prefix: Goes before the messages.
        advice: Goes behind the list of what may be taken instead of code of others.

    Raises:
        ConfigError: no configuration, another model, or one that brings code of its own.
    """
    path = directory / CONFIG_NAME
    if what := stand_in(path):
        raise ConfigError(f"{prefix}{path} is not the file that its name says: {what}")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{prefix}{path} cannot be read: {reason_of(error)}") from error
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    if kind in allowed:
        return str(kind)
    if isinstance(raw, dict) and raw.get("auto_map"):
        raise ConfigError(
            f"{prefix}{path} wants trust_remote_code: {kind!r} is not part of transformers, and to "
            "load it would run code of its repository on every worker. It is refused; take a "
            f"model that transformers itself knows: {', '.join(allowed)}{advice}"
        )
    raise ConfigError(
        f"{prefix}{path}: model_type must be one of {', '.join(allowed)}, got {kind!r}"
    )
