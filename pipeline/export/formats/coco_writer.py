"""Streams a COCO-shaped JSON file: memory does not grow with images and annotations."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from pipeline.export.formats.image_spool import ImageSpool, json_text
from pipeline.export.gold_facts import facts_of
from pipeline.export.writer import Item


class CocoWriter:
    """Writes images and annotations aside as they come, and joins both at the end.

    Ids count from 1: pycocotools takes an annotation id of 0 for "no match".
    """

    def __init__(self, path: Path, *, info: dict[str, Any], keep_pairs: bool = False) -> None:
        self._path = path
        self._info = info
        self.images = ImageSpool(path.with_name(path.name + ".images"), keep_pairs=keep_pairs)
        self._aside = path.with_name(path.name + ".annotations")
        self._annotations: IO[str] = self._aside.open("w", encoding="utf-8", newline="\n")
        self.num_annotations = 0
        self._licenses: dict[tuple[str, str], int] = {}

    def image(self, item: Item, entry: dict[str, Any]) -> tuple[int, int] | None:
        """(Id of the image, place of this caption in its entry); None: of another size.

        The entry gets the licence and the addresses that are known of the image.
        """
        facts = facts_of(item.record)
        stated = facts.license, facts.license_url
        if any(stated):
            number = self._licenses.setdefault(stated, len(self._licenses) + 1)
            entry = entry | {"license": number}
        urls = {"coco_url": facts.coco_url, "flickr_url": facts.flickr_url}
        # The address of an LVIS image is its file name: it stays.
        more = {key: url for key, url in urls.items() if url and not entry.get(key)}
        return self.images.add(item, entry | more)

    def annotation(self, entry: dict[str, Any]) -> None:
        """Write an annotation entry."""
        self.num_annotations += 1
        self._annotations.write(
            (",\n" if self.num_annotations > 1 else "\n")
            + json_text({"id": self.num_annotations} | entry)
        )

    def seal(self) -> None:
        """Close what is open: nothing more comes but the categories."""
        self.images.seal()
        self._annotations.close()

    def finish(
        self,
        categories: Callable[[], Sequence[dict[str, Any]]],
        images: Iterable[str] | None = None,
    ) -> None:
        """Join all and remove what was aside; `images` replaces the entries' texts.

        `categories` is asked for when all images are written.
        """
        self.seal()
        with self._path.open("w", encoding="utf-8", newline="\n") as out:
            out.write('{"info":' + json_text(self._info) + ',"licenses":')
            out.write(json_text(self._license_list()) + ',"images":[')
            texts = self.images.lines() if images is None else images
            for number, text in enumerate(texts, start=1):
                out.write((",\n" if number > 1 else "\n") + f'{{"id":{number},' + text[1:])
            out.write('],\n"annotations":[')
            with self._aside.open(encoding="utf-8", newline="\n") as aside:
                shutil.copyfileobj(aside, out)
            out.write('],\n"categories":' + json_text(list(categories())) + "}\n")
        self._aside.unlink()

    def _license_list(self) -> list[dict[str, Any]]:
        return [
            {"url": url, "id": number, "name": name}
            for (name, url), number in self._licenses.items()
        ]
