"""Files of the Hugging Face hub: size said before, hash checked here, every failure a sentence.

The hub's client checks sizes alone when it fetches over HTTP, and lets some failures of the
network through as they are; see `explain`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.files.stated_hash import StatedHash
from schemas.errors import GlipforgeError, MissingDependency, os_sentence

DEFAULT_ENDPOINT = "https://huggingface.co"


class HubError(MissingDependency):
    """The hub does not give what was asked for. `is_away`: it could not even be asked."""

    def __init__(self, text: str, *, is_away: bool = False) -> None:
        super().__init__(text)
        self.is_away = is_away

    def __reduce__(self) -> tuple[type[HubError], tuple[str]]:
        return (type(self), (str(self),))


class NotOnHub(HubError):
    """The hub was asked, and has no such repository, revision or file: no other way leads there."""


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
    sys.stderr.write(f"glipforge: {line}\n")


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, else the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT


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
    with _explained(repo, revision, None):
        info = HfApi(endpoint=endpoint()).model_info(repo, revision=revision, files_metadata=True)
    listed = {entry.rfilename: entry for entry in info.siblings or ()}
    sizes = {name: entry.size or 0 for name, entry in listed.items()}
    names = choose(sorted(sizes))
    commit = str(info.sha)
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
        with _explained(repo, revision, name):
            if name == names[0] and revision != commit:
                # Only a fetch by the branch's name lets the cache know where the branch is.
                hf_hub_download(repo, name, revision=revision, **where)
            path = Path(hf_hub_download(repo, name, revision=commit, **where))
            stated = StatedHash.of(listed[name], path)
            found = stated.found(path) if stated else ""
            if stated and found != stated.digits:
                say(f"{name} has another {stated.kind} than the hub says: fetching it once more")
                again = hf_hub_download(repo, name, revision=commit, force_download=True, **where)
                path = Path(again)
                found = stated.found(path)
        if stated and found != stated.digits:
            path.resolve().unlink()  # else the cache would hand it out as the right one
            path.unlink(missing_ok=True)
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


def _folder_of(path: Path, name: str) -> Path:
    for _ in name.split("/"):
        path = path.parent
    return path


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


class _explained:  # noqa: N801
    """Turns whatever the client raises into a `HubError`."""

    def __init__(self, repo: str, revision: str | None, file: str | None) -> None:
        self._what = (repo, revision, file)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from huggingface_hub.errors import EntryNotFoundError

        known = (OSError, ValueError, _network_error(), EntryNotFoundError)
        if isinstance(error, known) and not isinstance(error, GlipforgeError):
            raise explain(error, *self._what) from error


def explain(error: BaseException, repo: str, revision: str | None, file: str | None) -> HubError:
    """The sentence for what the hub's client raised; the reason may be any cause down the chain.

    Its own text for most of them is "check your connection".
    """
    from huggingface_hub import errors

    what = file or repo
    chain = list(_causes(error))

    def first(kind: type[BaseException]) -> Any:
        return next((e for e in chain if isinstance(e, kind)), None)

    if first(errors.OfflineModeIsEnabled):
        return HubError(f"{what} is not in the cache, and HF_HUB_OFFLINE is set", is_away=True)
    if first(errors.GatedRepoError):  # a kind of RepositoryNotFoundError: asked for first
        page = f"{endpoint()}/{repo}"
        return HubError(f"{repo} is gated: accept its terms at {page}, then set HF_TOKEN")
    if first(errors.RepositoryNotFoundError):
        return NotOnHub(
            f"{repo} is not on {endpoint()}, or is private: check the name, or set HF_TOKEN"
        )
    if first(errors.RevisionNotFoundError):
        return NotOnHub(f"{repo} has no revision {revision or 'main'!r}")
    if first(errors.RemoteEntryNotFoundError):
        return NotOnHub(f"{repo} has no file {what}")
    if first(errors.HFValidationError):
        return NotOnHub(f"{repo!r} is not owner/name, as the hub writes it")
    answered = next(
        (e for e in chain if isinstance(e, errors.HfHubHTTPError) and e.response is not None), None
    )
    if answered is not None:
        return _explain_status(answered.response, repo, what)
    if first(errors.FileMetadataError):
        return HubError(f"{endpoint()} (HF_ENDPOINT) does not answer like a hub", is_away=True)
    network = next((e for e in chain if isinstance(e, _network_error())), None)
    if network is not None and "Connect" in type(network).__name__:
        return HubError(
            f"{endpoint()} cannot be reached: check the network, HF_ENDPOINT and proxies",
            is_away=True,
        )
    if network is not None:
        return HubError(
            f"the connection broke while {what} was fetched ({type(network).__name__}): run it "
            "again",
            is_away=True,
        )
    if isinstance(error, OSError) and error.errno is not None:
        return HubError(
            f"{what} cannot be kept in the hub's cache (HF_HUB_CACHE): {os_sentence(error)}"
        )
    lines = str(error).strip().splitlines()
    return HubError(f"{what} cannot be fetched: {lines[0] if lines else type(error).__name__}")


def _network_error() -> type[BaseException]:
    """Base of the HTTP library's own errors, whichever library the hub's client has: a connection
    cut within a body leaves as one of them, which is neither an OSError nor an HfHubHTTPError."""
    from huggingface_hub import errors

    return errors.HTTPError  # type: ignore[attr-defined]


def _explain_status(response: Any, repo: str, what: str) -> HubError:
    status = int(response.status_code)
    if status == 401:
        return HubError("the hub refuses this token (HF_TOKEN): make a new one")
    if status == 403:
        return HubError(f"the hub forbids {what} of {repo} with this token (HF_TOKEN)")
    if status == 429:
        wait = response.headers.get("Retry-After")
        when = f"in {wait} s" if wait else "later"
        return HubError(f"the hub asks to wait (too many requests): try {when}", is_away=True)
    if status >= 500:
        return HubError(f"the hub is out of order ({status}): try later", is_away=True)
    return HubError(f"{endpoint()} (HF_ENDPOINT) does not answer like a hub: status {status}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def require(names: Iterable[str], wanted: str, repo: str) -> None:
    """Refuse a repository without a file.

    Raises:
        HubError: it is not among the names.
    """
    if wanted not in names:
        raise NotOnHub(f"{repo} has no file {wanted}")
