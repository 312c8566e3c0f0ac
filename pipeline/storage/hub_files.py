"""Data sets of the Hugging Face hub as files: `hf://datasets/owner/name/folder/file`."""

from __future__ import annotations

import os

from fsspec.spec import AbstractFileSystem

from schemas.errors import MissingDependency

SCHEME = "hf://"
_NETWORK = ("httpx", "httpx2", "httpcore", "httpcore2")


def hub_files(url: str) -> tuple[AbstractFileSystem, str]:
    """The hub, or the mirror that HF_ENDPOINT names, and the path of a URL in it.

    Raises:
        MissingDependency: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import HfFileSystem
    except ImportError as error:
        raise MissingDependency(
            f"{url}: data sets of the hub need huggingface_hub: pip install huggingface_hub"
        ) from error
    hub = HfFileSystem(endpoint=os.environ.get("HF_ENDPOINT") or None)
    return hub, str(hub._strip_protocol(url))


def is_network_failure(error: Exception) -> bool:
    """True for what the hub's client raises where it gets no answer."""
    return type(error).__module__.partition(".")[0] in _NETWORK
