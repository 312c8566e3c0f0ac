"""Whether a place keeps the promise that runs stand on: a file is created once, whoever tries."""

from __future__ import annotations

import uuid

from pipeline.storage.files import create_bytes, join_url, read_bytes, remove
from schemas.errors import ConfigError


def creates_exclusively(url: str) -> bool:
    """Try it below `url`: create an object, then create it again; nothing is left there.

    Raises:
        ConfigError: the place cannot be written to.
    """
    probe = join_url(url, f"_probe-{uuid.uuid4().hex}")
    try:
        create_bytes(probe, b"first")
        second = create_bytes(probe, b"second")
        kept = read_bytes(probe)
    finally:
        remove(probe)
    return not second and kept == b"first"


def require_exclusive_create(url: str) -> None:
    """As `creates_exclusively`, where nothing can be done without.

    Some stores and gateways take a conditional write and ignore the condition: two drivers would
    then both hold a run and overwrite each other's commits without a word.

    Raises:
        ConfigError: it is not kept, or the place cannot be written to.
    """
    if not creates_exclusively(url):
        raise ConfigError(
            f"{url}: the store overwrites an object that was to be created only (it ignores "
            "If-None-Match), so two drivers or workers would overwrite each other's work. Use a "
            "store or a version of it that honours conditional writes, or write the run to a disk"
        )
