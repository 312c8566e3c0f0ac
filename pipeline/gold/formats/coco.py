"""COCO instances and LVIS: detection gold with exhaustive or federated labels."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.gold.annotated import stream_annotated
from pipeline.gold.annotation_ids import AnnotationIds
from pipeline.gold.checks import (
    CROWD,
    NO_CATEGORY,
    NO_IMAGE,
    REPEATED_CATEGORY,
    REPEATED_IMAGE,
    entry_id,
    is_set,
    join_uri,
    require,
    usable_xywh,
    whole_text,
)
from pipeline.gold.detection_samples import DetectionImage, detection_set
from pipeline.gold.formats.coco_masks import MaskReader
from pipeline.gold.gold_set import GoldCounts, GoldSet, IgnoredBox, Mask
from pipeline.gold.licenses import Licenses
from pipeline.gold.picture_sizes import entry_size
from schemas.errors import DataError

NO_ID = "image or category whose id is null or a fraction"
NOT_KNOWN = "has an id which is not in categories"
NO_NAME = "category without a name: it is called by its id"
NO_FILE_NAME = "image without a file name: it is looked for by its id"
_OBJECTS365 = re.compile(r"images/v[12]/(patch\d+/[^/]+)")
"""Its file names; the archives unpack to `patch0/objects365_v1_00000000.jpg`."""


def load_coco(
    path: str,
    *,
    image_root: str,
    counts: GoldCounts | None = None,
    masks: bool = False,
    sizes: bool = True,
) -> GoldSet:
    """Instances of a COCO file (Objects365 too). Crowd regions become regions to ignore.

    As pycocotools, it takes string ids, repeated ids, ids that are null or a fraction, names that
    are numbers or missing, files without annotations or categories, and annotations of images or
    categories that are not listed; what it cannot use is counted. Without `sizes` an image whose
    size is not said needs not be there: its boxes are taken as they stand.

    Raises:
        DataError: the file breaks the format.
    """
    return _load(path, image_root, counts, is_lvis=False, masks=masks, sizes=sizes)


def load_lvis(
    path: str,
    *,
    image_root: str,
    counts: GoldCounts | None = None,
    masks: bool = False,
    sizes: bool = True,
) -> GoldSet:
    """Instances of an LVIS file: only the listed negatives of an image are known to be absent.

    Categories that are not exhaustively labelled in an image are counted; their boxes stay. `sizes`
    as in `load_coco`.

    Raises:
        DataError: the file breaks the format.
    """
    return _load(path, image_root, counts, is_lvis=True, masks=masks, sizes=sizes)


def _load(
    path: str,
    image_root: str,
    counts: GoldCounts | None,
    *,
    is_lvis: bool,
    masks: bool,
    sizes: bool,
) -> GoldSet:
    counts = GoldCounts() if counts is None else counts
    reader = _Reader(path, image_root, counts, is_lvis=is_lvis, masks=masks, sizes=sizes)
    entries = {
        "images": reader.image,
        "categories": reader.category,
        "annotations": reader.annotation,
    }
    found = stream_annotated(
        path,
        entries,
        counts,
        optional={"licenses": reader.licenses.entry},
        may_lack=("annotations", "categories"),
    )
    return replace(reader.finish(), is_labelled="annotations" in found)


class _Reader:
    """Boxes keep the id of their category until all categories are known."""

    def __init__(
        self,
        path: str,
        image_root: str,
        counts: GoldCounts,
        *,
        is_lvis: bool,
        masks: bool,
        sizes: bool,
    ) -> None:
        self.name, self.counts = Path(path).stem, counts
        self.licenses = Licenses()
        self._masks = MaskReader(path, counts) if masks else None
        self._sizes = sizes
        self._path = path
        self._root = image_root
        self._is_lvis = is_lvis
        self._images: dict[Any, DetectionImage] = {}
        self._federated: dict[Any, tuple[str, list[list[Any]]]] = {}
        self._categories: dict[Any, Any] = {}
        self._annotation_ids = AnnotationIds(self.counts)
        self._stated: dict[Any, tuple[Any, str, str]] = {}
        """Image -> what it says beside its boxes."""
        self._is_packed: bool | None = None
        """Objects365: whether images lie as its archives unpack; None until one is found."""

    def image(self, entry: Any, where: str) -> None:
        image_id = lenient_id(entry, "id", where)
        if image_id is None:
            self.counts.drop(NO_ID, where=where)
            return
        if image_id in self._images:
            self.counts.drop(REPEATED_IMAGE, where=where)
            return
        record_id = entry.get("record_id")
        uri = self._uri(self._file_name(entry, image_id, where))
        size_wh = entry_size(entry, uri, where, self.counts, needed=self._sizes)
        if size_wh is None:
            return
        image = DetectionImage(
            # Our own exports carry the id of the record; it joins a run to its export.
            sample_id=str(record_id) if record_id else f"{self.name}/{image_id}",
            image_uri=uri,
            size_wh=size_wh,
        )
        if self._is_lvis:
            listed = [
                require(entry, key, list, where)
                for key in ("neg_category_ids", "not_exhaustive_category_ids")
            ]
            self._federated[image_id] = (where, listed)
        self._images[image_id] = image
        self.licenses.image(entry)
        stated = self.licenses.stated(entry) if self._masks else None
        if stated is not None:
            self._stated[image_id] = stated

    def category(self, entry: Any, where: str) -> None:
        category_id = lenient_id(entry, "id", where)
        if category_id is None:
            self.counts.drop(NO_ID, where=where)
            return
        if category_id in self._categories:
            self.counts.drop(REPEATED_CATEGORY, where=where)
            return
        name = category_name(entry.get("name"), where)
        if not name:
            self.counts.clip(NO_NAME, where=where)
        self._categories[category_id] = (name or str(category_id), str(entry.get("frequency", "")))

    def annotation(self, entry: Any, where: str) -> None:
        if self.counts.report is not None:
            self._annotation_ids.add(entry, where)
        image = self._images.get(lenient_id(entry, "image_id", where))
        category = lenient_id(entry, "category_id", where)
        if image is None:
            self.counts.drop(NO_IMAGE, where=where)
            return
        if category not in self._categories:
            self.counts.drop(NO_CATEGORY, where=where)
            return
        xyxy = usable_xywh(entry.get("bbox"), image.size_wh, self.counts, where)
        is_crowd = is_set(entry, "iscrowd", where)
        if xyxy is None:
            return
        if is_crowd:
            self.counts[f"dropped: {CROWD}"] += 1
            mask = self._mask(entry, image, where)
            image.ignored.append(IgnoredBox(xyxy=xyxy, category=category, mask=mask))
        else:
            image.boxes.append((xyxy, category))
            if self._masks:
                image.masks.append(self._mask(entry, image, where))

    def _mask(self, entry: Any, image: DetectionImage, where: str) -> Mask | None:
        if self._masks is None:
            return None
        return self._masks.read(entry.get("segmentation"), image.size_wh, where)

    def finish(self) -> GoldSet:
        order = sorted(self._categories, key=lambda one: (isinstance(one, str), one))
        index_of = {category: index for index, category in enumerate(order)}
        for image_id, image in self._images.items():
            image.boxes = [(xyxy, index_of[category]) for xyxy, category in image.boxes]
            image.ignored = [replace(box, category=index_of[box.category]) for box in image.ignored]
            if self._is_lvis:
                with self.counts.entry():
                    image.absent, image.not_exhaustive = self._listed(image_id, index_of)
                self.counts["categories not exhaustive in an image"] += len(image.not_exhaustive)
        found = detection_set(
            list(self._images.values()),
            name=self.name,
            file_format="lvis" if self._is_lvis else "coco",
            categories=tuple(self._categories[category][0] for category in order),
            category_ids=tuple(order),
            is_exhaustive=not self._is_lvis,
            counts=self.counts,
            frequencies=tuple(self._categories[category][1] for category in order)
            if self._is_lvis
            else (),
        )
        ids = {image.sample_id: image_id for image_id, image in self._images.items()}
        facts = {
            self._images[image_id].sample_id: self.licenses.facts(stated)
            for image_id, stated in self._stated.items()
        }
        licenses = self.licenses.counted()
        return replace(found, path=self._path, image_ids=ids, licenses=licenses, facts=facts)

    def _file_name(self, entry: Any, image_id: Any, where: str) -> str:
        if entry.get("file_name") is not None:
            return str(require(entry, "file_name", str, where))
        if entry.get("coco_url") is not None:
            # LVIS has no file name: the last two parts of the URL are the COCO split and the file.
            return "/".join(str(require(entry, "coco_url", str, where)).split("/")[-2:])
        self.counts.clip(NO_FILE_NAME, where=where)
        return str(image_id)

    def _uri(self, name: str) -> str:
        uri = join_uri(self._root, name)
        short = _OBJECTS365.fullmatch(name)
        if short is None or "://" in uri:
            return uri
        packed = join_uri(self._root, short[1])
        if self._is_packed is None and os.path.isfile(uri) != os.path.isfile(packed):
            self._is_packed = os.path.isfile(packed)
        return packed if self._is_packed else uri

    def _listed(
        self, image_id: Any, index_of: dict[Any, int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        where, lists = self._federated[image_id]
        found = []
        keys = ("neg_category_ids", "not_exhaustive_category_ids")
        for key, listed in zip(keys, lists, strict=True):
            for category in listed:
                if not isinstance(category, int | str):
                    raise DataError(f"{where}: {key} must hold ids, got {category!r:.100}")
                if category not in index_of:  # a file of some categories keeps the lists of all
                    self.counts.drop(f"{key} {NOT_KNOWN}", where=where)
            found.append(tuple(index_of[one] for one in listed if one in index_of))
        return found[0], found[1]


def lenient_id(entry: Any, key: str, where: str) -> Any:
    """As `entry_id`; None where it is null or a fraction, which names nothing."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, float) and not value.is_integer():
        return None
    if value is None and isinstance(entry, dict) and key in entry:
        return None
    return entry_id(entry, key, where)


def category_name(value: Any, where: str) -> str:
    """A name as text, a number too (7.0 is 7); empty where it is blank or neither."""
    if isinstance(value, str):
        return whole_text(value, "name", where) if value.strip() else ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)
