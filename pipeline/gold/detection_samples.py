"""Detection images (boxes with categories) to training samples: one caption of category names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.gold.checks import names_caption
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, IgnoredBox, Mask, finish_counts
from schemas.errors import DataError
from schemas.records import TrainingSample, Xyxy


@dataclass(kw_only=True, slots=True)
class DetectionImage:
    """One image while it is read."""

    sample_id: str
    image_uri: str
    size_wh: tuple[int, int]
    boxes: list[tuple[Xyxy, Any]] = field(default_factory=list)
    """Corners and the index of the category (its id, while a file is read)."""
    ignored: list[IgnoredBox] = field(default_factory=list)
    masks: list[Mask | None] = field(default_factory=list)
    """For each box, where masks are read."""
    absent: tuple[int, ...] = ()
    """Categories that are known to have no box here."""
    not_exhaustive: tuple[int, ...] = ()
    """Categories of which not every instance has a box here."""


def detection_set(
    images: Sequence[DetectionImage],
    *,
    name: str,
    file_format: str,
    categories: tuple[str, ...],
    is_exhaustive: bool,
    counts: GoldCounts,
    frequencies: tuple[str, ...] = (),
    category_ids: tuple[int | str, ...] = (),
) -> GoldSet:
    """The gold set of some images.

    Raises:
        DataError: two images have the same id.
    """
    seen: set[str] = set()
    for image in images:
        if image.sample_id in seen:
            raise DataError(f"gold set {name!r}: the image id {image.sample_id!r} occurs twice")
        seen.add(image.sample_id)
    samples = tuple(_sample(image, categories, name) for image in images)
    return GoldSet(
        name=name,
        format=file_format,
        kind=GoldKind.DETECTION,
        samples=samples,
        categories=categories,
        category_ids=category_ids,
        box_categories={i.sample_id: tuple(category for _, category in i.boxes) for i in images},
        is_exhaustive=is_exhaustive,
        ignored={i.sample_id: tuple(i.ignored) for i in images if i.ignored},
        absent={i.sample_id: i.absent for i in images if i.absent},
        masks={i.sample_id: tuple(i.masks) for i in images if any(i.masks)},
        not_exhaustive={i.sample_id: i.not_exhaustive for i in images if i.not_exhaustive},
        frequencies=frequencies,
        counts=finish_counts(counts, samples),
    )


def named_detection_set(
    images: Sequence[DetectionImage],
    *,
    name: str,
    file_format: str,
    counts: GoldCounts,
    names: Sequence[str] = (),
    ids: Sequence[int] = (),
    is_exhaustive: bool = True,
) -> GoldSet:
    """The gold set of images whose boxes carry the names of their categories.

    `names` come first in the order of categories, with `ids`; names that only boxes have follow.

    Raises:
        DataError: two images have the same id.
    """
    used = {category for image in images for _, category in image.boxes}
    used |= {str(box.category) for image in images for box in image.ignored}
    unlisted = sorted(used - set(names))
    order = [*names, *unlisted]
    index_of = {one: index for index, one in reversed(list(enumerate(order)))}
    for image in images:
        image.boxes = [(xyxy, index_of[category]) for xyxy, category in image.boxes]
        image.ignored = [
            replace(box, category=index_of[str(box.category)]) for box in image.ignored
        ]
    return detection_set(
        images,
        name=name,
        file_format=file_format,
        categories=tuple(order),
        category_ids=tuple(ids) if len(ids) == len(order) else (),
        is_exhaustive=is_exhaustive,
        counts=counts,
    )


def _sample(image: DetectionImage, categories: tuple[str, ...], source: str) -> TrainingSample:
    present = sorted({category for _, category in image.boxes})
    absent = sorted(set(image.absent) - set(present))
    caption, spans = names_caption([categories[c] for c in (*present, *absent)])
    span_of = dict(zip(present, spans, strict=False))
    return TrainingSample(
        sample_id=image.sample_id,
        image_uri=image.image_uri,
        width=image.size_wh[0],
        height=image.size_wh[1],
        caption=caption,
        boxes=tuple(xyxy for xyxy, _ in image.boxes),
        spans=tuple((span_of[category],) for _, category in image.boxes),
        weights=(1.0,) * len(image.boxes),
        negative_spans=spans[len(present) :],
        source=source,
    )
