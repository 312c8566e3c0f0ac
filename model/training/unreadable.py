"""The images that a run could not read: named in a file, and not too many of them.

Each is named once by each worker and start: a resumed run counts and names anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from schemas.errors import DataError

UNREADABLE_NAME = "unreadable.jsonl"
FIRST_IMAGES = 1000
"""The share is taken of at least so many images: a few bad ones at the start are not a verdict."""


class UnreadableImages:
    """Counts what one worker could not read.

    Args:
        directory: Where `unreadable.jsonl` is written.
        max_share: Of the images seen; more of them stop the run.
    """

    def __init__(self, directory: Path, max_share: float) -> None:
        self._path = directory / UNREADABLE_NAME
        self._max_share = max_share
        self._named: set[str] = set()
        self._seen = 0
        self.failed = 0
        """Images of the batches so far that could not be read, each as often as it came."""

    def add(self, images: int, failures: Sequence[tuple[str, str]]) -> None:
        """Count one batch.

        Args:
            images: Of the batch.
            failures: (sample id, reason) of those that could not be read.

        Raises:
            DataError: too many could not be read; names the last one and the file.
        """
        self._seen += images
        self.failed += len(failures)
        new = [failure for failure in failures if failure[0] not in self._named]
        if new:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                for sample_id, reason in new:
                    self._named.add(sample_id)
                    stream.write(json.dumps({"sample_id": sample_id, "reason": reason}) + "\n")
        if self.failed > self._max_share * max(self._seen, FIRST_IMAGES):
            sample_id, reason = failures[-1]
            raise DataError(
                f"{self.failed} of {self._seen} training images cannot be read, more than "
                f"train.max_unreadable {self._max_share:g} allows; the last was {sample_id!r}: "
                f"{reason}. All are named in {self._path}"
            )
