"""What a user gives as a model, as a local directory: a path, a name, or an id of the hub."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from model.files.by_name import NAMES, named_model
from model.files.directory import CONFIG_NAME
from model.files.hub import cached_folder, fetch, require, say_on_stderr
from model.files.hub_errors import HubError, NotOnHub
from model.files.shipped import SHIPPED, shipped_nano
from model.files.weight_files import INDEX_NAME, WEIGHTS_NAME
from schemas.errors import ConfigError

TEXT_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")
"""Any one of them holds the words of a tokenizer."""
IMAGE_FILES = ("preprocessor_config.json", "processor_config.json")
FILES = (CONFIG_NAME, INDEX_NAME, *TEXT_FILES, *IMAGE_FILES)
"""All that is read of a model directory, beside the safetensors."""
_ADDRESS = re.compile(
    r"(?:\w+://)(?:[^/]+\.[^/]+/)?(?P<repo>[\w.-]+/[\w.-]+)(?:/(?:tree|resolve|blob)/(?P<at>[^/]+))?/?.*"
)
"""The page of a model, as a browser shows it, or `hf://owner/name`."""
_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def resolve_source(
    source: Path | str,
    revision: str | None = None,
    *,
    accepts: Callable[[Path], object] | None = None,
) -> Path:
    """A local model directory: the one named, or a copy of the hub's.

    Args:
        source: A directory; `shipped`; the name of a published model (`glip-t`); `owner/name` or
            `owner/name@revision` on the Hugging Face hub.
        revision: Branch, tag or commit on the hub; its main branch if not given.
        accepts: Called with a folder that has the config.json, before anything large is fetched.

    Raises:
        ConfigError: no model directory is there.
        MissingDependency: the hub cannot be reached, or has nothing of this name.
    """
    if str(source) == SHIPPED or (str(source) == "glip-nano" and not Path(source).is_dir()):
        return shipped_nano()
    directory = Path(source)
    if not directory.exists() and str(source) in NAMES:
        return named_model(str(source))
    hub_id = None if str(source).startswith(".") else _HUB_ID.fullmatch(str(source))
    if directory.is_dir() or hub_id is None:
        if not (directory / CONFIG_NAME).is_file():
            raise ConfigError(
                f"{str(source)!r} is not a model directory ({_lack(directory)})"
                f"{_guess(str(source))}"
            )
        return directory
    return _of_hub(hub_id["repo"], revision or hub_id["revision"], accepts)


def _lack(directory: Path) -> str:
    if not directory.exists():
        return "does not exist"
    if not directory.is_dir():
        return "it is a file"
    if (directory / "snapshots").is_dir():
        return f"no {CONFIG_NAME}: it is of the hub's cache; give owner/name, or a snapshot in it"
    return f"no {CONFIG_NAME}"


def _guess(text: str) -> str:
    """What was meant by what is neither a name nor there."""
    if page := _ADDRESS.fullmatch(text):
        at = f"@{page['at']}" if page["at"] else ""
        return f"; a model of the hub is given as owner/name: {page['repo']}{at}"
    source = Path(text)
    if source.exists() or text.startswith(".") or source.parent != Path():
        return ""
    near = difflib.get_close_matches(source.name.lower(), [*NAMES, SHIPPED], n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return (
        f", nor one of the names {', '.join([SHIPPED, *NAMES])}, nor an id of the hub, owner/name"
    )


@lru_cache(maxsize=32)
def _of_hub(repo: str, revision: str | None, accepts: Callable[[Path], object] | None) -> Path:
    try:
        copy = fetch(repo, lambda names: _wanted(names, repo), revision=revision, accepts=accepts)
    except HubError as error:
        patterns = [*FILES, "*.safetensors"]
        folder = cached_folder(repo, revision, patterns) if error.is_away else None
        if folder is not None and _is_whole(folder):
            say_on_stderr(f"{error}; the copy of {repo} in the cache is used")
            return folder
        part = "only part" if folder is not None else "nothing"
        there = f"; the cache has {part} of it" if error.is_away else ""
        at = f" --revision {revision}" if revision else ""
        other_way = (
            f"{there}. On a machine that reaches the hub `hf download {repo}{at} --local-dir "
            "DIRECTORY` fetches it; give --teacher that DIRECTORY"
        )
        raise type(error)(
            f"{repo!r} is not a local directory, and the hub does not give it: {error}"
            + ("" if isinstance(error, NotOnHub) else other_way)
        ) from error
    return copy.folder


def _wanted(names: list[str], repo: str) -> list[str]:
    require(names, CONFIG_NAME, repo)
    weights = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    if not weights:
        raise ConfigError(
            f"{repo} has no *.safetensors; weights of other formats may hold code and are not read"
        )
    return [CONFIG_NAME, *(name for name in names if name in FILES[1:]), *weights]


def _is_whole(folder: Path) -> bool:
    """Whether a cached folder has its configuration and all of its weights."""
    if not (folder / CONFIG_NAME).is_file():
        return False
    if (folder / WEIGHTS_NAME).is_file():
        return True
    try:
        index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
        return all((folder / name).is_file() for name in set(index["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError):
        return False
