"""Opening a run that later steps read."""

from __future__ import annotations

from shlex import quote

from pipeline.run.captioner import captioner_of
from pipeline.run.store import RunStore
from schemas.errors import ConfigError


def open_run(uri: str) -> RunStore:
    """The run in a directory or at a URL.

    Raises:
        ConfigError: this is not a labelling run, or nothing of it is committed yet.
    """
    run = RunStore(uri)
    if captioner_of(run.plan()):
        raise ConfigError(
            f"run {uri!r} holds captions and no boxes: `glipforge label --captions {quote(uri)}` "
            "labels its images with them"
        )
    if not run.commits():
        raise ConfigError(
            f"run {uri!r} has no committed unit yet; "
            f"`glipforge status {quote(uri)}` tells how far it is"
        )
    return run
