"""Files of the Hugging Face hub: size said before, hash checked here, every failure a sentence.

The hub's client checks sizes alone when it fetches over HTTP, and lets some failures of the
network through as they are; see `hub_errors.explain`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.files.hub_errors import Explained, HubError, NotOnHub, endpoint
from model.files.stated_hash import StatedHash
from schemas.redaction import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class HubCopy:
    """Files of one commit in the local cache.

    sha256: of each file that the hub keeps as a large one, as checked here.
    """

    folder: Path
    repo: str
    commit: str
    sha256: Mapping[str, str]


def say_on_stderr(line: str) -> None:
    """What is fetched, and how much of it."""
    sys.stderr.write(f"glipforge: {shown(line)}\n")


def fetch(
    repo: str,
    choose: Callable[[list[str]], list[str]],
    *,
    revision: str | None = None,
    accepts: Callable[[Path], object] | None = None,
    say: Callable[[str], object] = say_on_stderr,
) -> HubCopy:
    """Files of a repository at one commit; what is in the cache already is not fetched again.

    Args:
        repo: owner/name.
        choose: From the names of all files those that are wanted, the first one first.
        revision: Branch, tag or commit; the main branch if not given.
        accepts: Called with the folder when the first file is there; what it raises ends the
            fetch before the large ones.
        say: Told the sizes before they are fetched.

    Raises:
        HubError: says why, in a sentence.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

    where: dict[str, Any] = {"cache_dir": os.environ.get("HF_HUB_CACHE")}
    with Explained(repo, revision, None):
        info = HfApi(endpoint=endpoint()).model_info(repo, revision=revision, files_metadata=True)
    listed = {entry.rfilename: entry for entry in info.siblings or ()}
    sizes = {name: entry.size or 0 for name, entry in listed.items()}
    names = choose(sorted(sizes))
    commit = str(info.sha)
    with Explained(repo, revision, None):
        cached = {
            name
            for name in names
            if isinstance(try_to_load_from_cache(repo, name, revision=commit, **where), str)
        }
    if absent := [name for name in names if name not in cached]:
        total = sum(sizes[name] for name in absent)
        size = _size(total) if total else f"{len(absent)} files of unknown size"
        say(f"fetching {size} of {repo} at {commit[:12]} from {endpoint()}")
    folder = Path()
    checked: dict[str, str] = {}
    where["endpoint"] = endpoint()
    for name in names:
        with Explained(repo, revision, name):
            if name == names[0] and revision != commit:
                # Only a fetch by the branch's name lets the cache know where the branch is.
                hf_hub_download(repo, name, revision=revision, **where)
            path = Path(hf_hub_download(repo, name, revision=commit, **where))
            stated = StatedHash.of(listed[name], path)
            found = stated.found(path) if stated else ""
            if stated and found != stated.digits:
                say(f"{name} has another {stated.kind} than the hub says: fetching it once more")
                _delete(path)  # where there are no symbolic links a forced fetch would keep it
                path = Path(hf_hub_download(repo, name, revision=commit, **where))
                found = stated.found(path)
        if stated and found != stated.digits:
            _delete(path)  # else the cache would hand it out as the right one
            raise HubError(
                f"{name} of {repo} arrived with {stated.kind} {found}, the hub says "
                f"{stated.digits}: it was deleted; something between here and the hub changes files"
            )
        if stated and stated.kind == "sha256":
            checked[name] = found
        folder = _folder_of(path, name)
        if accepts is not None and name == names[0]:
            accepts(folder)
    return HubCopy(folder=folder, repo=repo, commit=commit, sha256=checked)


def cached_folder(repo: str, revision: str | None, patterns: list[str]) -> Path | None:
    """What the cache has of a repository, without asking the hub; None: nothing."""
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=patterns,
            local_files_only=True,
            cache_dir=os.environ.get("HF_HUB_CACHE"),
        )
    except (OSError, ValueError):
        return None
    return Path(found) if Path(found).is_dir() else None


def _delete(path: Path) -> None:
    """A file of the cache, and the link to it."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _folder_of(path: Path, name: str) -> Path:
    for _ in name.split("/"):
        path = path.parent
    return path


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def require(names: Iterable[str], wanted: str, repo: str) -> None:
    """Refuse a repository without a file.

    Raises:
        HubError: it is not among the names.
    """
    if wanted not in names:
        raise NotOnHub(f"{repo} has no file {wanted}")
