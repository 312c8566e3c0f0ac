"""ODVG (Open-GroundingDino, MMDetection, TAO): JSON lines of detection or grounding rows, xyxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.gold.checks import (
    NO_SPAN,
    image_size,
    join_uri,
    read_json,
    require,
    usable_spans,
    usable_xyxy,
)
from pipeline.gold.detection_samples import DetectionImage, detection_set
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, finish_counts
from pipeline.gold.imagefolder import read_json_lines
from schemas.errors import DataError
from schemas.records import Span, TrainingSample, Xyxy

AMBIGUOUS = "phrase without tokens_positive that is not exactly once in the caption"


def load_odvg(path: str, *, image_root: str, label_map: str = "") -> GoldSet:
    """Rows of an ODVG file: all grounding, or all detection.

    A region without `tokens_positive` is used only where its phrase occurs exactly once in the
    caption: then the text fixes the span. Others are counted.

    Raises:
        DataError: a row breaks the format, or the file mixes both kinds of rows.
    """
    name, counts = Path(path).stem, GoldCounts()
    samples: list[TrainingSample] = []
    images: list[tuple[DetectionImage, list[tuple[Xyxy, str]]]] = []
    for number, (where, row) in enumerate(read_json_lines(path)):
        if isinstance(row, dict) and "grounding" in row:
            samples.append(_grounding_row(row, where, name, number, image_root, counts))
        elif isinstance(row, dict) and "detection" in row:
            images.append(_detection_row(row, where, f"{name}/{number}", image_root, counts))
        else:
            raise DataError(f"{where}: a row must have grounding or detection, got {row!r:.100}")
    if samples and images:
        raise DataError(f"{path} mixes {len(samples)} grounding and {len(images)} detection rows")
    if not images:
        return GoldSet(
            name=name,
            format="odvg",
            kind=GoldKind.GROUNDING,
            samples=tuple(samples),
            counts=finish_counts(counts, tuple(samples)),
        )
    categories = _categories(label_map, images)
    index_of = {category: index for index, category in enumerate(categories)}
    for image, boxes in images:
        image.boxes = [(xyxy, index_of[category]) for xyxy, category in boxes]
    return detection_set(
        [image for image, _ in images],
        name=name,
        file_format="odvg",
        categories=categories,
        is_exhaustive=True,
        counts=counts,
    )


def _grounding_row(
    row: dict[str, Any],
    where: str,
    source: str,
    number: int,
    image_root: str,
    counts: GoldCounts,
) -> TrainingSample:
    size_wh = image_size(row, where)
    grounding = require(row, "grounding", dict, where)
    caption = require(grounding, "caption", str, f"{where}: grounding")
    boxes: list[Xyxy] = []
    spans: list[tuple[Span, ...]] = []
    for place, region in enumerate(require(grounding, "regions", list, where)):
        at = f"{where}: regions[{place}]"
        region_spans = _region_spans(region, at, caption, counts)
        raw = require(region, "bbox", list, at)
        for corners in raw if raw and isinstance(raw[0], list) else [raw]:
            xyxy = usable_xyxy(corners, size_wh, counts)
            if xyxy is not None and region_spans:
                boxes.append(xyxy)
                spans.append(region_spans)
            elif xyxy is not None:
                counts.drop(NO_SPAN)
    return TrainingSample(
        sample_id=str(row.get("record_id") or f"{source}/{number}"),
        image_uri=join_uri(image_root, require(row, "filename", str, where)),
        width=size_wh[0],
        height=size_wh[1],
        caption=caption,
        boxes=tuple(boxes),
        spans=tuple(spans),
        weights=(1.0,) * len(boxes),
        source=source,
    )


def _region_spans(region: Any, where: str, caption: str, counts: GoldCounts) -> tuple[Span, ...]:
    phrases = require(region, "phrase", (str, list), where)
    if "tokens_positive" in region:
        return usable_spans(region["tokens_positive"], caption, counts)
    spans = []
    for phrase in [phrases] if isinstance(phrases, str) else phrases:
        if not isinstance(phrase, str) or caption.count(phrase) != 1 or not phrase.strip():
            counts.drop(AMBIGUOUS)
            continue
        start = caption.index(phrase)
        spans.append((start, start + len(phrase)))
    return tuple(spans)


def _detection_row(
    row: dict[str, Any], where: str, sample_id: str, image_root: str, counts: GoldCounts
) -> tuple[DetectionImage, list[tuple[Xyxy, str]]]:
    image = DetectionImage(
        sample_id=str(row.get("record_id") or sample_id),
        image_uri=join_uri(image_root, require(row, "filename", str, where)),
        size_wh=image_size(row, where),
    )
    boxes = []
    detection = require(row, "detection", dict, where)
    for number, entry in enumerate(require(detection, "instances", list, where)):
        category = require(entry, "category", str, f"{where}: instances[{number}]")
        xyxy = usable_xyxy(entry.get("bbox"), image.size_wh, counts)
        if xyxy is not None:
            boxes.append((xyxy, category))
    return image, boxes


def _categories(
    label_map: str, images: list[tuple[DetectionImage, list[tuple[Xyxy, str]]]]
) -> tuple[str, ...]:
    used = {category for _, boxes in images for _, category in boxes}
    if not label_map:
        return tuple(sorted(used))
    raw = read_json(label_map)
    if not isinstance(raw, dict) or not all(key.isdigit() for key in raw):
        raise DataError(f"label map {label_map!r} must be an object of numbers to names")
    names = tuple(str(raw[key]) for key in sorted(raw, key=int))
    unknown = sorted(used - set(names))
    if unknown:
        raise DataError(f"category {unknown[0]!r} is not in the label map {label_map!r}")
    return names
