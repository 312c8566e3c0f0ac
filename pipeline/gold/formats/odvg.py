"""ODVG (Open-GroundingDino, MMDetection, TAO): JSON lines of detection or grounding rows, xyxy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.gold.checks import (
    NO_SPAN,
    image_size,
    join_uri,
    read_json_lines,
    require,
    usable_spans,
    usable_xyxy,
)
from pipeline.gold.class_names import read_class_names
from pipeline.gold.detection_samples import DetectionImage, detection_set
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, finish_counts, grounding_sample
from schemas.errors import DataError
from schemas.records import Span, TrainingSample, Xyxy

AMBIGUOUS = "phrase without tokens_positive that is not exactly once in the caption"
OTHER_PHRASE = "phrase that is not the text of its tokens_positive (the span counts)"
DISAGREES = "label and category that disagree (the label counts, as in MMDetection)"

DOUBLE_NAME = "name that the label map has under several numbers (each is a category of its own)"


def load_odvg(
    path: str, *, image_root: str, label_map: str = "", counts: GoldCounts | None = None
) -> GoldSet:
    """Rows of an ODVG file: all grounding, or all detection.

    A region without `tokens_positive` is used only where its phrase occurs exactly once in the
    caption: then the text fixes the span. Others are counted. Regions with the same box are one
    box with several spans.

    Raises:
        DataError: a row breaks the format, or the file mixes both kinds of rows.
    """
    reader = _Reader(path, image_root, label_map, GoldCounts() if counts is None else counts)
    for number, (where, row) in enumerate(read_json_lines(path)):
        with reader.counts.entry():
            reader.row(row, where, number)
    return reader.finish()


class _Reader:
    def __init__(self, path: str, image_root: str, label_map: str, counts: GoldCounts) -> None:
        self.name, self.counts = Path(path).stem, counts
        self._path = path
        self._root = image_root
        self._label_map = label_map
        self._names = read_class_names(label_map) if label_map else {}
        self._samples: list[TrainingSample] = []
        self._images: list[DetectionImage] = []
        self._index_of: dict[str, int] = {}
        """Category -> its place; by the label map, or in the order of first use."""
        for place, key in enumerate(sorted(self._names)):
            self._index_of.setdefault(self._names[key], place)
        for name, times in Counter(self._names.values()).items():
            if times > 1:
                self.counts.clip(DOUBLE_NAME, where=f"label map {label_map!r}: {name!r}")
        self._place_of = {key: place for place, key in enumerate(sorted(self._names))}
        self._ids: set[str] = set()

    def row(self, row: Any, where: str, number: int) -> None:
        if isinstance(row, dict) and "grounding" in row:
            self._samples.append(self._grounding(row, where, number))
        elif isinstance(row, dict) and "detection" in row:
            self._images.append(self._detection(row, where, number))
        else:
            raise DataError(f"{where}: a row must have grounding or detection, got {row!r:.100}")

    def finish(self) -> GoldSet:
        samples, images = self._samples, self._images
        if samples and images:
            raise DataError(
                f"{self._path} mixes {len(samples)} grounding and {len(images)} detection rows"
            )
        if not images:
            return GoldSet(
                name=self.name,
                format="odvg",
                kind=GoldKind.GROUNDING,
                samples=tuple(samples),
                counts=finish_counts(self.counts, tuple(samples)),
            )
        if self._names:
            categories = tuple(self._names[key] for key in sorted(self._names))
        else:
            categories = tuple(sorted(self._index_of))
            moved = {self._index_of[name]: place for place, name in enumerate(categories)}
            for image in images:
                image.boxes = [(xyxy, moved[place]) for xyxy, place in image.boxes]
        return detection_set(
            images,
            name=self.name,
            file_format="odvg",
            categories=categories,
            category_ids=tuple(sorted(self._names)) if self._names else (),
            is_exhaustive=True,
            counts=self.counts,
        )

    def _sample_id(self, row: dict[str, Any], where: str, number: int) -> str:
        sample_id = str(row.get("record_id") or f"{self.name}/{number}")
        if sample_id in self._ids:
            raise DataError(f"{where}: record_id {sample_id!r} occurs twice")
        self._ids.add(sample_id)
        return sample_id

    def _grounding(self, row: dict[str, Any], where: str, number: int) -> TrainingSample:
        size_wh = image_size(row, where)
        grounding = require(row, "grounding", dict, where)
        caption = require(grounding, "caption", str, f"{where}: grounding")
        spans_of: dict[Xyxy, dict[Span, None]] = {}
        repeated: list[tuple[Xyxy, tuple[Span, ...]]] = []
        for place, region in enumerate(require(grounding, "regions", list, f"{where}: grounding")):
            at = f"{where}: regions[{place}]"
            region_spans = self._region_spans(region, at, caption)
            raw = require(region, "bbox", list, at)
            for corners in raw if raw and isinstance(raw[0], list) else [raw]:
                xyxy = usable_xyxy(corners, size_wh, self.counts, at)
                if xyxy is None:
                    continue
                if not region_spans:
                    self.counts.drop(NO_SPAN, where=at)
                elif xyxy in spans_of and not spans_of[xyxy].keys().isdisjoint(region_spans):
                    repeated.append((xyxy, region_spans))  # the same label twice stays twice
                else:
                    spans_of.setdefault(xyxy, {}).update(dict.fromkeys(region_spans))
        boxes = [(xyxy, tuple(sorted(spans))) for xyxy, spans in spans_of.items()] + repeated
        uri = join_uri(self._root, require(row, "filename", str, where))
        sample_id = self._sample_id(row, where, number)
        return grounding_sample(sample_id, uri, size_wh, caption, boxes, self.name)

    def _region_spans(self, region: Any, where: str, caption: str) -> tuple[Span, ...]:
        phrases = require(region, "phrase", (str, list), where)
        if "tokens_positive" in region:
            spans = usable_spans(region["tokens_positive"], caption, self.counts, where)
            if self.counts.report is not None and len(spans) == 1 and isinstance(phrases, str):
                start, end = spans[0]
                if caption[start:end] != phrases:
                    self.counts.clip(OTHER_PHRASE, where=where)
            return spans
        found = []
        for phrase in [phrases] if isinstance(phrases, str) else phrases:
            if not isinstance(phrase, str) or caption.count(phrase) != 1 or not phrase.strip():
                self.counts.drop(AMBIGUOUS, where=where)
                continue
            start = caption.index(phrase)
            found.append((start, start + len(phrase)))
        return tuple(found)

    def _detection(self, row: dict[str, Any], where: str, number: int) -> DetectionImage:
        image = DetectionImage(
            sample_id=self._sample_id(row, where, number),
            image_uri=join_uri(self._root, require(row, "filename", str, where)),
            size_wh=image_size(row, where),
        )
        detection = require(row, "detection", dict, where)
        listed = require(detection, "instances", list, f"{where}: detection")
        for place, entry in enumerate(listed):
            at = f"{where}: instances[{place}]"
            category = self._category(entry, at)
            xyxy = usable_xyxy(entry.get("bbox"), image.size_wh, self.counts, at)
            if xyxy is not None:
                image.boxes.append((xyxy, category))
        return image

    def _category(self, entry: Any, where: str) -> int:
        if self._names and isinstance(entry, dict) and entry.get("label") is not None:
            label = require(entry, "label", int, where)
            if label not in self._place_of:
                raise DataError(
                    f"{where}: label {label} is not in the label map {self._label_map!r}"
                )
            category = entry.get("category")
            if category is not None and category != self._names[label]:
                self.counts.clip(DISAGREES, where=where)
            return self._place_of[label]
        if isinstance(entry, dict) and "category" not in entry and "label" in entry:
            raise DataError(
                f"{where}: category must be str, got None; a row with label alone needs the JSON "
                "of class names: --label-map FILE"
            )
        category = require(entry, "category", str, where)
        if self._names and category not in self._index_of:
            raise DataError(
                f"{where}: category {category!r} is not in the label map {self._label_map!r}"
            )
        return self._index_of.setdefault(category, len(self._index_of))
