"""What goes wrong with the Hugging Face hub, each a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

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


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, else the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT


class Explained:
    """Turns whatever the client raises into a `HubError`."""

    def __init__(self, repo: str, revision: str | None, file: str | None) -> None:
        self._what = (repo, revision, file)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # The client lets through whatever an unexpected answer makes its own code raise.
        if isinstance(error, Exception) and not isinstance(error, (GlipforgeError, MemoryError)):
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
        return HubError(f"{what} is not asked for, HF_HUB_OFFLINE is set", is_away=True)
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
    if first(errors.FileMetadataError) or first(json.JSONDecodeError):
        return HubError(f"{endpoint()} (HF_ENDPOINT) does not answer like a hub", is_away=True)
    if first(UnicodeEncodeError):  # of a header; its own text would show a part of it
        return HubError("HF_TOKEN has characters that no token has: copy it again")
    network = next((e for e in chain if isinstance(e, _network_error())), None)
    if _is_no_address(chain):
        return HubError(f"{endpoint()} (HF_ENDPOINT) is not an address, as {DEFAULT_ENDPOINT} is")
    if network is not None and "Connect" in type(network).__name__:
        return HubError(
            f"{_unreached(network)} cannot be reached: check the network, HF_ENDPOINT and proxies",
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
    if "Consistency check" in str(error):
        return HubError(
            f"{what} of {repo} arrived with another size than the hub says: run it again; if that "
            "does not help, something between here and the hub changes files",
            is_away=True,
        )
    if not isinstance(error, (OSError, ValueError, errors.EntryNotFoundError)):
        found = f"{type(error).__name__}: {error}"
        return HubError(
            f"{endpoint()} (HF_ENDPOINT) does not answer like a hub: {found}", is_away=True
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
        wait = response.headers.get("Retry-After", "").strip()
        when = f"in {wait} s" if wait.isdecimal() else f"after {wait}" if wait else "later"
        return HubError(f"the hub asks to wait (too many requests): try {when}", is_away=True)
    if status == 407:
        return HubError("the proxy wants a name and a password (HTTPS_PROXY)", is_away=True)
    if status >= 500:
        return HubError(f"the hub is out of order ({status}): try later", is_away=True)
    return HubError(f"{endpoint()} (HF_ENDPOINT) does not answer like a hub: status {status}")


def _is_no_address(chain: list[BaseException]) -> bool:
    """The HTTP library's names for an address without a scheme, or none at all."""
    return any(type(e).__name__ in ("UnsupportedProtocol", "InvalidURL") for e in chain)


def _unreached(error: Any) -> str:
    """Who did not answer: the hub, or the store of large files that it sends to."""
    try:
        asked = error.request.url
    except (AttributeError, RuntimeError):  # raised before there was a request
        return endpoint()
    place = asked.netloc.decode()  # without a password
    if urlsplit(endpoint()).netloc.rpartition("@")[2] == unquote(place):
        return endpoint()
    return f"{asked.scheme}://{place}, where {endpoint()} keeps large files,"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
