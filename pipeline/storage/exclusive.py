"""Give a file its name where none is: by a hard link, or as a mount without them allows.

Of any number of writers at once exactly one succeeds, and a reader never sees half a file. Many
network and FUSE mounts have no hard links; there a claim, created exclusively, says who may
rename. A claim whose writer was killed in between is taken over after it stood still.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

NO_LINKS = (
    errno.EPERM,
    errno.EACCES,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EXDEV,
    errno.EMLINK,
    errno.EINVAL,
)
"""What a file system without hard links says."""
CLAIM_STALE_S = 10.0
_LOOK_EVERY_S = 0.05


def place_exclusively(staged: str | os.PathLike[str], path: str | os.PathLike[str]) -> bool:
    """Give the content of `staged` also the name `path`; False where a file has it.

    `staged` may be gone afterwards. Both are in one file system.

    Raises:
        OSError: neither a hard link nor an exclusive create is possible.
    """
    try:
        os.link(staged, path)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    return _place_by_claim(os.fspath(staged), os.fspath(path))


def _place_by_claim(staged: str, path: str) -> bool:
    folder, name = os.path.split(path)
    claim = os.path.join(folder, f".{name}.claim")
    since = time.monotonic()
    while not os.path.lexists(path):
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            if time.monotonic() - since > CLAIM_STALE_S:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(claim)
                since = time.monotonic()
            time.sleep(_LOOK_EVERY_S)
            continue
        try:
            if os.path.lexists(path):  # its writer gave the claim back between our two looks
                return False
            os.replace(staged, path)
            return True
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(claim)
    return False
