"""Published models by their names: fetched once, converted once, then a model directory."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

from model.files.directory import CONFIG_NAME, save_pretrained
from model.files.hub import fetch, require, say_on_stderr
from model.files.hub_errors import HubError
from model.files.official_file import convert_checkpoint
from model.files.published import HUB_MIRRORS, PUBLISHED, PublishedModel
from schemas.atomic import open_as_usual, private_folder
from schemas.errors import ConfigError, MissingDependency, reason_of
from schemas.fingerprint import sha256_file

SOURCE_NAME = "source.json"
NAMES: Mapping[str, PublishedModel] = {model.key: model for model in PUBLISHED}


def cache_home() -> Path:
    """Where converted models are kept: GLIPFORGE_CACHE, else ~/.cache/glipforge."""
    own = os.environ.get("GLIPFORGE_CACHE")
    return Path(own).expanduser() if own else Path.home() / ".cache" / "glipforge"


def put_here(name: str) -> Path:
    """Where a published file may be put by hand, to be converted without the hub."""
    return cache_home() / "downloads" / NAMES[name].file


def model_directory(name: str) -> Path:
    """Where a model of this name is kept once it was fetched and converted."""
    return cache_home() / "models" / name


def named_model(name: str, say: Callable[[str], object] = say_on_stderr) -> Path:
    """The model directory of a published model; fetches and converts it where it is not there.

    One process at a time does it, the others wait; a half-made directory is never seen.

    Args:
        name: One of `NAMES`.
        say: Told what is done.

    Raises:
        MissingDependency: the hub does not give the file; says where to put it by hand.
        ConfigError: the file is not what it should be.
    """
    directory = model_directory(name)
    if (directory / CONFIG_NAME).is_file():
        return directory
    home = cache_home()
    try:
        for folder in (directory.parent, home / "locks", home / "downloads"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / "locks" / f"{name}.lock")
        with lock:
            if not (directory / CONFIG_NAME).is_file():
                _make(name, directory, say)
    except OSError as error:
        raise ConfigError(
            f"GLIPFORGE_CACHE {home} cannot be written: {reason_of(error)}"
        ) from error
    return directory


def _make(name: str, directory: Path, say: Callable[[str], object]) -> None:
    model = NAMES[name]
    path, source = _file(name, say)
    say(f"converting {path.name} to {directory}")
    try:
        network = convert_checkpoint(path, model.preset)
    except ConfigError as error:
        raise ConfigError(
            f"{name}: {error}. The file came from {source['from']} and is not what its authors "
            f"published as {model.file}"
        ) from error
    staging = private_folder(directory.parent, f".{name}.")
    try:
        save_pretrained(network, staging)
        source["sha256"] = sha256_file(path)
        text = json.dumps({"name": name, "file": model.file, **source}, indent=1) + "\n"
        (staging / SOURCE_NAME).write_text(text, encoding="utf-8")
        open_as_usual(staging)
        if directory.exists():
            shutil.rmtree(directory)  # without a config.json it is nobody's
        os.replace(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _file(name: str, say: Callable[[str], object]) -> tuple[Path, dict[str, str]]:
    model = NAMES[name]
    by_hand = put_here(name)
    if by_hand.is_file():
        return by_hand, {"from": str(by_hand)}
    reasons = []
    for repo in HUB_MIRRORS:

        def choose(names: list[str], repo: str = repo) -> list[str]:
            require(names, model.file, repo)
            return [model.file]

        try:
            copy = fetch(repo, choose, revision=model.revision, say=say)
        except HubError as error:
            reasons.append(str(error))
            if error.is_away:
                break  # the next one is on the same hub
            continue
        found = copy.sha256.get(model.file) or sha256_file(copy.folder / model.file)
        if model.sha256 and found != model.sha256:
            raise MissingDependency(
                f"{model.file} of {repo} has sha256 {found}, not the {model.sha256} that is known "
                f"for {name}"
            )
        return copy.folder / model.file, {"from": repo, "commit": copy.commit}
    raise MissingDependency(
        f"{name}: {'; '.join(reasons)}. By hand: put {model.file} (of {' or '.join(HUB_MIRRORS)}) "
        f"at {by_hand} and run `glipforge models --fetch {name}`"
    )
