"""A model by whatever names it: a directory, a published name, `shipped`, a hub id."""

from __future__ import annotations

from pathlib import Path

from model.files.directory import load_directory
from model.files.source import resolve_source
from model.network.glip import Glip


def load_pretrained(source: Path | str) -> Glip:
    """The model of a directory or a hub id, in float32, in evaluation mode.

    Args:
        source: A directory as `save_pretrained` writes it, or `owner/name` of such a directory on
            the Hugging Face hub.

    Raises:
        ConfigError: no such directory, a broken file, or weights that do not fit the
            configuration; names the first difference.
        MissingDependency: the hub cannot be reached.
    """
    return load_directory(resolve_source(source))
