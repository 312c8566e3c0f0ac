"""Whether a place keeps the promise that runs stand on: a file is created once, whoever tries."""

from __future__ import annotations

import uuid

from pipeline.storage.errors import StorageDenied, StorageFull, StorageUnavailable
from pipeline.storage.files import create_bytes, join_url, read_bytes, remove, write_bytes
from schemas.errors import ConfigError


def creates_exclusively(url: str) -> bool:
    """Try it below `url`: create an object, then create it again; nothing is left there.

    Raises:
        ConfigError: the place cannot be written to.
    """
    probe = join_url(url, f"_probe-{uuid.uuid4().hex}")
    try:
        if not _takes_condition(probe):
            return False
        second = create_bytes(probe, b"second")
        kept = read_bytes(probe)
    finally:
        remove(probe)
    return not second and kept == b"first"


def _takes_condition(probe: str) -> bool:
    """Create an object; False where the store takes it only without the condition."""
    try:
        create_bytes(probe, b"first")  # a lost answer makes it False, which says nothing
    except (StorageDenied, StorageUnavailable, StorageFull):
        raise
    except OSError:
        write_bytes(probe, b"first")  # raises as well where it is not the condition
        return False
    return True


def require_exclusive_create(url: str) -> None:
    """As `creates_exclusively`, where nothing can be done without.

    Some stores and gateways take a conditional write and ignore the condition: two drivers would
    then both hold a run and overwrite each other's commits without a word.

    Raises:
        ConfigError: it is not kept, or the place cannot be written to.
    """
    if not creates_exclusively(url):
        raise ConfigError(
            f"{url}: the store overwrites an object that was to be created only, or refuses such a "
            "write (If-None-Match), so two drivers or workers would overwrite each other's work. "
            "Use a store or a version of it that honours conditional writes, or write the run to a "
            "disk"
        )
