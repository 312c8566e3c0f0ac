"""Licences of images, as data sets state them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from pipeline.gold.checks import read_text
from pipeline.gold.gold_set import ImageFacts
from schemas.errors import DataError

_CHARS = 200


class Licenses:
    """COCO's `licenses`, and the numbers of the images that have them.

    What is odd there is nobody's loss: it is left out.
    """

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}
        self._parts: dict[Any, tuple[str, str]] = {}
        self._images: Counter[Any] = Counter()

    def entry(self, entry: Any, where: str) -> None:
        """Take an element of `licenses`: `{"id": 1, "name": "...", "url": "..."}`."""
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str):
            return
        texts = [entry.get(key) for key in ("name", "url")]
        # Half a character, which JSON can spell, is nothing that can be stored.
        name, url = (
            text.encode(errors="replace").decode().strip() if isinstance(text, str) else ""
            for text in texts
        )
        shown = license_text(name, url)
        if shown:
            self._names[entry["id"]] = " ".join(shown.split())[:_CHARS]
            short = " ".join(name.split())[:_CHARS], " ".join(url.split())[:_CHARS]
            self._parts[entry["id"]] = short

    def image(self, entry: dict[str, Any]) -> None:
        """Count an image entry."""
        number = entry.get("license")
        self._images[number if isinstance(number, int | str) else None] += 1

    def stated(self, entry: dict[str, Any]) -> tuple[Any, str, str] | None:
        """Number of the licence, `coco_url` and `flickr_url` of an image entry; None where it has
        none of them."""
        number = entry.get("license")
        number = number if isinstance(number, int | str) else None
        coco, flickr = (_address(entry.get(key)) for key in ("coco_url", "flickr_url"))
        return (number, coco, flickr) if number is not None or coco or flickr else None

    def facts(self, stated: tuple[Any, str, str] | None) -> ImageFacts:
        """What `stated` found, when all licences are known."""
        if stated is None:
            return ImageFacts()
        number, coco, flickr = stated
        name, url = self._parts.get(number, ("", ""))
        return ImageFacts(license=name, license_url=url, coco_url=coco, flickr_url=flickr)

    def counted(self) -> dict[str, int]:
        """Licence -> images; nothing where no image has one that is listed."""
        found: Counter[str] = Counter()
        for number, images in self._images.items():
            found[self._names.get(number, "")] += images
        unknown = found.pop("", 0)
        if found and unknown:
            found["not stated"] = unknown
        return dict(found.most_common())


def license_text(name: str, url: str) -> str:
    """A licence for people: `CC BY 2.0 (https://...)`."""
    return f"{name} ({url})" if name and url else name or url


def _address(value: Any) -> str:
    # LVIS files of our own have a path there.
    return value if isinstance(value, str) and "://" in value and value.isprintable() else ""


def readme_license(folder: Path) -> str:
    """`license` in the YAML head of a data set's README.md; empty where there is none."""
    readme = folder / "README.md"
    if not readme.is_file():
        return ""
    try:
        text = read_text(readme)
        head = yaml.safe_load(text[3:].partition("\n---")[0]) if text.startswith("---") else None
    except (yaml.YAMLError, DataError):
        return ""
    found = head.get("license") if isinstance(head, dict) else None
    return found.strip()[:_CHARS] if isinstance(found, str) else ""
