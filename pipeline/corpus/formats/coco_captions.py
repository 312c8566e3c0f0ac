"""COCO's captions JSON: `images` with file names, `annotations` with a caption each.

Units are ranges of the entries of `images`; the captions of an image stay together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pipeline.corpus.captions import count_captions
from pipeline.corpus.corpus import WHOLE_FILE, Corpus, Part
from pipeline.corpus.image_paths import resolve_image
from pipeline.corpus.options import CorpusOptions
from pipeline.storage.files import exists, join_url, read_bytes, stat_file
from schemas.errors import ConfigError, UnitError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status

ENTRIES = "entries"
"""Kind of a unit of image entries; captions without an image follow the last of them."""
_LOOKED_AT, _SPREAD = 5, 40
_ABSENT = "\0absent"
"""Marks the entry of captions whose image is not in the file."""
_HEAD_BYTES = 64 * 1024
Captions = list[Any]
Entry = tuple[Any, Captions]


class CocoCaptionsCorpus(Corpus):
    """Record id: `source/file/image id/n`: the n-th caption of the image, in the file's order."""

    format = "coco-captions"

    def __init__(
        self, uri: str, root: str, files: tuple[InputFile, ...], options: CorpusOptions
    ) -> None:
        """Look for the images.

        Raises:
            ConfigError: a file is not of this format, or its images are in none of the usual
                places.
        """
        super().__init__(uri, root, files, options)
        for name in ("image_field", "caption_field", "id_field"):
            if getattr(options, name) is not None:
                raise ConfigError(f"{name}: COCO's captions JSON has fixed fields; leave it out")
        self.image_roots: dict[str, str] = {}
        total = 0
        for file in files:
            try:
                entries = _entries(file.uri, file.etag)
            except UnitError as error:
                raise ConfigError(str(error)) from error
            total += len(entries)
            self.image_roots[file.uri] = options.image_root or _find_images(file.uri, entries)
        places = ", ".join(sorted(set(self.image_roots.values())))
        self.explanation = f"{total:,} images of COCO captions; pictures in {places}"

    def fingerprint(self) -> dict[str, object]:
        """With the folders that were found."""
        return super().fingerprint() | {"image_roots": sorted(set(self.image_roots.values()))}

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        entries = _entries(unit.uri, stat_file(unit.uri).etag)
        stop = len(entries) if unit.kind == WHOLE_FILE else unit.stop
        if len(entries) < stop:
            raise UnitError(f"{unit.uri} had {stop:,} entries or more, now {len(entries):,}")
        for number in range(unit.start, stop):
            yield from self._records(unit.uri, number, *entries[number])

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        parts: list[Part] = []
        start = count = 0
        keys: set[str] = set()
        entries = _entries(file.uri, file.etag)
        for number, (image, captions) in enumerate(entries):
            pairs = count_captions(captions, self.options.captions)
            if count and count + pairs > records_per_unit:
                parts.append(Part(ENTRIES, start, number, count))
                start, count = number, 0
            count += pairs
            keys.add(_key(image, number))
        if len(keys) < len(entries) or not entries:
            return [Part(WHOLE_FILE, 0, file.size, -1)]
        return [*parts, Part(ENTRIES, start, len(entries), count)]

    def _records(
        self, uri: str, number: int, image: Any, captions: Captions
    ) -> Iterator[CorpusRecord]:
        error: tuple[Status, str] | None = None
        image_uri = None
        if not isinstance(image, dict):
            error = (Status.RECORD_INVALID, f"images[{number}] is not an object: {image!r:.80}")
        elif _ABSENT in image:
            detail = f"image_id {image['id']!r} of a caption is not in images"
            error = (Status.RECORD_INVALID, detail)
        elif _id_of(image.get("id")) is None:
            error = (
                Status.RECORD_INVALID,
                f"images[{number}] has no id that is text or a whole number: {image!r:.80}",
            )
        elif "file_name" not in image:
            fields = ", ".join(map(str, image))[:200]
            detail = f"images[{number}] (id {image['id']!r}) has no file_name; it has {fields}"
            error = (Status.RECORD_INVALID, detail)
        else:
            image_uri, error = resolve_image(
                image["file_name"], self.image_roots[uri], inside=False
            )
        key = self._id(uri, _key(image, number))
        yield from self._pairs(key, captions, image_uri=image_uri, error=error)


def is_coco_captions(file: InputFile) -> bool:
    """True for a JSON file of images and annotations of which one has a caption."""
    head = read_bytes(file.uri, 0, _HEAD_BYTES)
    if not any(name in head for name in (b'"images"', b'"annotations"')):
        return False  # not worth reading whole
    try:
        return any(caption for _, found in _entries(file.uri, file.etag) for caption in found)
    except UnitError:
        return False


@lru_cache(maxsize=2)
def _entries(uri: str, version: str) -> list[Entry]:
    """Each image with its captions, then each unknown image id with its captions.

    Raises:
        UnitError: the file is not JSON of this shape.
    """
    try:
        data = read_bytes(uri)
        # Bytes that are not text become marks: only the caption that holds them suffers.
        raw = json.loads(data.decode(json.detect_encoding(data), "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise UnitError(f"{uri} is not JSON: {error}") from error
    if not (
        isinstance(raw, dict)
        and isinstance(raw.get("images"), list)
        and isinstance(raw.get("annotations"), list)
    ):
        raise UnitError(f"{uri} is not a COCO captions file: it needs `images`, `annotations`")
    captions: dict[Any, Captions] = {}
    ids = {_id_of(image.get("id")) for image in raw["images"] if isinstance(image, dict)}
    for annotation in raw["annotations"]:
        known = isinstance(annotation, dict)
        image_id = _id_of(annotation.get("image_id")) if known else None
        if image_id not in ids and (other := _other_form(image_id)) in ids:
            image_id = other
        captions.setdefault(image_id, []).append(annotation.get("caption") if known else annotation)
    entries: list[Entry] = []
    for image in raw["images"]:
        image_id = _id_of(image.get("id")) if isinstance(image, dict) else None
        entries.append((image, [] if image_id is None else captions.pop(image_id, [])))
    absent = (({"id": image_id, _ABSENT: True}, found) for image_id, found in captions.items())
    return [*entries, *absent]


def _id_of(value: Any) -> int | str | None:
    """An id; a whole number that a tool wrote as 7.0 is 7."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _other_form(image_id: int | str | None) -> int | str | None:
    """The same id as text, or as a number: tools write 42 on one side and "42" on the other."""
    if isinstance(image_id, int):
        return str(image_id)
    if image_id is None or not (image_id.isascii() and image_id.isdigit() and len(image_id) < 20):
        return None
    return int(image_id) if str(int(image_id)) == image_id else None


def _key(image: Any, number: int) -> str:
    value = _id_of(image.get("id")) if isinstance(image, dict) else None
    return f"@{number}" if value is None else str(value)


def _find_images(uri: str, entries: list[Entry]) -> str:
    """The folder of the pictures: beside the file, `images/`, or COCO's own layout."""
    folder = uri.rpartition("/")[0] or "."
    above = folder.rpartition("/")[0] or ("/" if folder.startswith("/") else "..")
    split = uri.rpartition("/")[2].removesuffix(".json").rpartition("_")[2]
    places = [folder, join_url(folder, "images"), join_url(folder, split)]
    places += [join_url(above, split), join_url(above, "images")]
    names = [
        name
        for image, _ in entries
        if isinstance(image, dict) and isinstance(name := image.get("file_name"), str)
    ]
    # The first ones, then some of the whole file: pictures are missing in blocks.
    for looked_at in (names[:_LOOKED_AT], names[:: len(names) // _SPREAD + 1]):
        for place in places:
            if any(exists(join_url(place, name.replace("\\", "/"))) for name in looked_at):
                return place
    raise ConfigError(
        f"{uri}: its images ({', '.join(names[:2])}, ...) are in none of {', '.join(places)}; say "
        "where with --image-root"
    )
