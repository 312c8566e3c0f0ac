"""Which models of transformers make captions, and how each is prompted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.files.model_type import model_type
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
    return model_type(
        directory,
        KINDS,
        prefix="model: ",
        advice=" (of Florence-2 the directories whose model_type is florence2, such as "
        "florence-community's)",
    )


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
