"""Files of `torch.save`, whole or not there; a full disk is the system's error, not torch's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import torch

from schemas.atomic import replacing


def write_torch(state: object, path: Path) -> None:
    """Write a file of `torch.save`, or replace it.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as stream:
        save_torch(state, stream, path)


def save_torch(state: object, stream: BinaryIO, path: Path) -> None:
    """`torch.save`; `path` is named where the stream takes no more.

    torch hides what a stream raises behind "[enforce fail at inline_container.cc]".

    Raises:
        OSError: it cannot be written.
    """
    try:
        torch.save(state, stream)
    except (OSError, RuntimeError) as error:
        reason = error if isinstance(error, OSError) else error.__context__
        if isinstance(reason, OSError) and reason.errno is not None:
            raise OSError(reason.errno, os.strerror(reason.errno), str(path)) from error
        raise
