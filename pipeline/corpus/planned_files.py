"""Whether an input file still is the one that a run was planned with."""

from __future__ import annotations

from pipeline.storage.files import is_local, stat_file
from schemas.errors import UnitError
from schemas.plan import InputFile

_SAME_TAGS = ("s3://", "s3a://")
"""Stores that give a file the same tag in a listing and when asked for it alone."""


def require_unchanged(planned: InputFile) -> None:
    """Compare size and version: a range of another file would be other records, without a word.

    Raises:
        UnitError: it was written again since the run was planned, or is gone.
    """
    found = stat_file(planned.uri)
    if found.size != planned.size:
        change = f"it has {found.size:,} bytes, it had {planned.size:,}"
    elif found.etag != planned.etag and (
        is_local(planned.uri) or planned.uri.startswith(_SAME_TAGS)
    ):
        change = f"its version is {found.etag}, it was {planned.etag}"
    else:
        return
    raise UnitError(
        f"{planned.uri} changed since the run was planned ({change}): put the old file back with "
        "its time, or make a new run"
    )
