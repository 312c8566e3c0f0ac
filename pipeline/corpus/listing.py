"""The files that a corpus argument stands for, and the folder that their names start from."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from pipeline.storage.errors import MissingFile
from pipeline.storage.files import (
    find_files,
    is_folder,
    is_local,
    list_folder,
    local_path,
    stat_file,
)
from pipeline.storage.url_patterns import expand_braces, fixed_folder, has_braces, has_glob
from schemas.errors import ConfigError, reason_of
from schemas.plan import InputFile

NUM_THREADS = 16
"""Names of a pattern, or folders, that are asked for at once: a store answers slowly."""


def list_inputs(uri: str) -> tuple[str, list[InputFile]]:
    """(root, files sorted by name). Hidden files and folders are left out, also `__MACOSX`.

    Raises:
        ConfigError: there is nothing; names what was looked for.
    """
    if not uri.strip():
        raise ConfigError(f"corpus must be a path or URL, got {uri!r}")
    try:
        if has_braces(uri) or has_glob(uri):
            return fixed_folder(uri) or ".", _matching(uri)
        if is_folder(uri):
            root = uri.rstrip("/") or "/"
            found = sorted(_walk(root), key=lambda file: file.uri)
            if len(found) == 1 and _is_zip(found[0].uri):
                return list_inputs(found[0].uri)
            return root, found
        if _is_zip(uri):
            stat_file(uri)
            return f"{uri}#", sorted(_walk(f"{uri}#"), key=lambda file: file.uri)
        return uri.rpartition("/")[0] or ".", [stat_file(uri)]
    except MissingFile as error:
        why = "" if str(error) == f"{uri} does not exist" else f": {error}"
        raise ConfigError(f"corpus {uri!r} does not exist{why}") from error
    except OSError as error:
        raise ConfigError(f"corpus {uri!r} cannot be read: {reason_of(error)}") from error


def _matching(pattern: str) -> list[InputFile]:
    names = expand_braces(pattern)
    plain = [name for name in names if not has_glob(name)]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        files = {file.uri: file for file in pool.map(stat_file, plain)}
    for name in names:
        if has_glob(name):
            files.update((file.uri, file) for file in find_files(name))
    if not files:
        raise ConfigError(f"corpus {pattern!r}: no file matches")
    return [files[name] for name in sorted(files)]


def _walk(root: str) -> list[InputFile]:
    files: list[InputFile] = []
    came_by: dict[str, tuple[str, ...]] = {root: ()}
    """Folders, with the real paths of those whose links led there."""
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        while came_by:
            deeper: dict[str, tuple[str, ...]] = {}
            for (folder, chain), (here, below) in zip(
                came_by.items(), pool.map(list_folder, came_by), strict=True
            ):
                files.extend(file for file in here if not _is_hidden(file.uri))
                for name in below:
                    if not _is_hidden(name) and (led := _led_by(name, folder, chain)) is not None:
                        deeper[name] = led
            came_by = deeper
    return files


def _led_by(name: str, folder: str, chain: tuple[str, ...]) -> tuple[str, ...] | None:
    """The chain of links to a folder; None where it goes round: it is, or holds, where one was."""
    if not is_local(name) or not os.path.islink(local_path(name).rstrip("/")):
        return chain
    here = os.path.realpath(local_path(folder))
    target = os.path.realpath(local_path(name)).rstrip("/") + "/"
    if any(f"{place}/".startswith(target) for place in (*chain, here)):
        return None
    return (*chain, here)


def _is_zip(uri: str) -> bool:
    return uri.lower().endswith(".zip")


def _is_hidden(uri: str) -> bool:
    return uri.rstrip("/").rpartition("/")[2].startswith((".", "__"))
