"""Streams a COCO-shaped JSON file: constant memory, however many images and annotations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any


class CocoWriter:
    """Writes images as they come and annotations aside, and joins both at the end.

    Ids count from 1: pycocotools takes an annotation id of 0 for "no match".
    """

    def __init__(self, path: Path, *, info: dict[str, Any]) -> None:
        self._path = path
        self._aside = path.with_name(path.name + ".annotations")
        self._images: IO[str] = path.open("w", encoding="utf-8", newline="\n")
        self._annotations: IO[str] = self._aside.open("w", encoding="utf-8", newline="\n")
        self._images.write('{"info":' + _text(info) + ',"licenses":[],"images":[')
        self.num_images = 0
        self.num_annotations = 0

    def image(self, entry: dict[str, Any]) -> int:
        """Write an image entry; returns its id."""
        self.num_images += 1
        self._images.write(
            (",\n" if self.num_images > 1 else "\n") + _text({"id": self.num_images} | entry)
        )
        return self.num_images

    def annotation(self, entry: dict[str, Any]) -> None:
        """Write an annotation entry."""
        self.num_annotations += 1
        self._annotations.write(
            (",\n" if self.num_annotations > 1 else "\n")
            + _text({"id": self.num_annotations} | entry)
        )

    def finish(self, categories: Sequence[dict[str, Any]]) -> None:
        """Write the rest and close the file."""
        self._annotations.close()
        self._images.write('],\n"annotations":[')
        with self._aside.open(encoding="utf-8", newline="\n") as aside:
            shutil.copyfileobj(aside, self._images)
        self._images.write('],\n"categories":' + _text(list(categories)) + "}\n")
        self._images.close()
        self._aside.unlink()


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
