"""Which models of transformers make captions, and how each is prompted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError

CONFIG_NAME = "config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerKind:
    """One kind of captioner.

    name: what it is called.
    tasks: the only prompts that it knows, the first if none is given; empty: any words, which the
        caption goes on from.
    """

    name: str
    tasks: tuple[str, ...] = ()


KINDS = {
    "blip": CaptionerKind(name="BLIP"),
    "blip-2": CaptionerKind(name="BLIP-2"),
    "git": CaptionerKind(name="GIT"),
    "florence2": CaptionerKind(
        name="Florence-2", tasks=("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")
    ),
}
"""model_type of config.json -> the kind."""


def captioner_type(directory: Path) -> str:
    """What a model directory says it is: a key of `KINDS`.

    Raises:
        ConfigError: no configuration, a model that makes no captions, or one that brings code of
            its own.
    """
    path = directory / CONFIG_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"model: {path} cannot be read: {error}") from error
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    if kind in KINDS:
        return str(kind)
    if isinstance(raw, dict) and raw.get("auto_map"):
        raise ConfigError(
            f"model: {path} wants trust_remote_code: {kind!r} is not part of transformers, and to "
            "load it would run code of its repository on every worker. It is refused; take a "
            f"model that transformers itself knows: {', '.join(KINDS)} (of Florence-2 the "
            "directories whose model_type is florence2, such as florence-community's)"
        )
    raise ConfigError(f"model: {path}: model_type must be one of {', '.join(KINDS)}, got {kind!r}")


def prompt_of(kind: str, prompt: str) -> str:
    """The prompt that a kind is given.

    Raises:
        ConfigError: the kind knows tasks alone, and this is not one of them.
    """
    tasks = KINDS[kind].tasks
    if not tasks:
        return " ".join(prompt.split())
    chosen = prompt.strip() or tasks[0]
    if chosen not in tasks:
        raise ConfigError(
            f"prompt must be of {', '.join(tasks)} for {KINDS[kind].name}, got {prompt!r}"
        )
    return chosen
