"""MDETR's grounding JSON (GoldG: Flickr30k and the mixed set), which GLIP trains on.

COCO-shaped, one image entry per image-caption pair; every annotation names character spans of the
caption in `tokens_positive`. MDETR's referring-expression files are the same, beside COCO's 80
categories.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.gold.annotated import stream_annotated
from pipeline.gold.annotation_ids import AnnotationIds
from pipeline.gold.checks import (
    CROWD,
    NO_IMAGE,
    NO_SPAN,
    REPEATED_IMAGE,
    is_set,
    join_uri,
    require,
    usable_spans,
    usable_xywh,
)
from pipeline.gold.formats.coco import NO_ID, lenient_id
from pipeline.gold.formats.coco_masks import MaskReader
from pipeline.gold.gold_set import (
    Crowd,
    GoldCounts,
    GoldKind,
    GoldSet,
    ImageFacts,
    Mask,
    finish_counts,
)
from pipeline.gold.licenses import Licenses
from pipeline.gold.picture_sizes import entry_size
from schemas.errors import DataError
from schemas.records import Span, TrainingSample, Xyxy

NEGATIVE_OVERLAP = "negative span that overlaps a named one"


@dataclass(kw_only=True, slots=True)
class _Pair:
    sample_id: str
    image_uri: str
    size_wh: tuple[int, int]
    caption: str
    negatives: tuple[Span, ...]
    boxes: list[tuple[Xyxy, tuple[Span, ...]]] = field(default_factory=list)
    masks: list[Mask | None] = field(default_factory=list)
    stated: tuple[Any, str, str] | None = None
    """Licence and addresses of its image."""
    crowds: list[tuple[Crowd, Any]] = field(default_factory=list)
    """With the ids of their categories, which are named when the file was read."""


def load_mdetr(
    path: str, *, image_root: str, counts: GoldCounts | None = None, masks: bool = False
) -> GoldSet:
    """Pairs of a grounding JSON. `tokens_negative` that overlap a named span are left out (many
    files hold one span over the whole caption).

    Raises:
        DataError: the file breaks the format.
    """
    reader = _Reader(path, image_root, GoldCounts() if counts is None else counts, masks=masks)
    entries = {"images": reader.image, "annotations": reader.annotation}
    more = {"licenses": reader.licenses.entry, "categories": reader.category}
    found = stream_annotated(path, entries, reader.counts, optional=more, may_lack=("annotations",))
    return replace(reader.finish(), is_labelled="annotations" in found)


class _Reader:
    def __init__(self, path: str, image_root: str, counts: GoldCounts, *, masks: bool) -> None:
        self.name, self.counts = Path(path).stem, counts
        self.licenses = Licenses()
        self._with_masks = masks
        self._read = MaskReader(path, counts)
        self._masks: dict[str, tuple[Mask | None, ...]] = {}
        self._root = image_root
        self._pairs: dict[Any, _Pair] = {}
        self._sample_ids: set[str] = set()
        self._annotation_ids = AnnotationIds(self.counts)
        self._spans: dict[tuple[Span, ...], tuple[Span, ...]] = {}
        self._categories: dict[Any, str] = {}
        self._facts: dict[str, ImageFacts] = {}

    def category(self, entry: Any, where: str) -> None:
        """Crowds alone have categories here; what is odd is nobody's loss."""
        if isinstance(entry, dict) and isinstance(entry.get("id"), int | str):
            name = entry.get("name")
            if isinstance(name, str) and name.strip() and name.isprintable():
                self._categories[entry["id"]] = name

    def image(self, entry: Any, where: str) -> None:
        image_id = lenient_id(entry, "id", where)
        if image_id is None:
            self.counts.drop(NO_ID, where=where)
            return
        if (image_id, 0) in self._pairs:
            self.counts.drop(REPEATED_IMAGE, where=where)
            return
        uri = join_uri(self._root, require(entry, "file_name", str, where))
        size_wh = entry_size(entry, uri, where, self.counts)
        if size_wh is None:
            return
        self.licenses.image(entry)
        for place, (caption, sample_id) in enumerate(self._captions(entry, image_id, where)):
            if sample_id in self._sample_ids:
                raise DataError(f"{where}: record_id {sample_id!r} occurs twice")
            self._sample_ids.add(sample_id)
            self._pairs[image_id, place] = _Pair(
                sample_id=sample_id,
                image_uri=uri,
                size_wh=size_wh,
                caption=caption,
                negatives=usable_spans(entry.get("tokens_negative"), caption, self.counts, where),
                stated=self.licenses.stated(entry) if self._with_masks else None,
            )

    def _captions(self, entry: Any, image_id: Any, where: str) -> list[tuple[str, str]]:
        """Caption and id of each pair; our own exports carry the ids of records, and those with one
        entry per image have its captions in a list."""
        captions, ids = entry.get("captions"), entry.get("record_ids")
        if isinstance(captions, list) and isinstance(ids, list) and len(captions) == len(ids) > 1:
            if not all(isinstance(caption, str) for caption in captions):
                raise DataError(f"{where}: captions must be strings")
            return list(zip(captions, map(str, ids), strict=True))
        caption = require(entry, "caption", str, where)
        return [(caption, str(entry.get("record_id") or f"{self.name}/{image_id}"))]

    def annotation(self, entry: Any, where: str) -> None:
        if self.counts.report is not None:
            self._annotation_ids.add(entry, where)
        image_id = lenient_id(entry, "image_id", where)
        pair = self._pairs.get((image_id, entry.get("caption_index") or 0))
        if pair is None:
            self.counts.drop(NO_IMAGE, where=where)
            return
        is_crowd = is_set(entry, "iscrowd", where)
        if is_crowd:
            self.counts[f"dropped: {CROWD}"] += 1
            if not self._with_masks:
                return
        xyxy = usable_xywh(entry.get("bbox"), pair.size_wh, self.counts, where)
        if xyxy is None:
            return
        if is_crowd:
            mask = self._read.read(entry.get("segmentation"), pair.size_wh, where)
            crowd = Crowd(xyxy=xyxy, category="", mask=mask)
            category = entry.get("category_id")
            pair.crowds.append((crowd, category if isinstance(category, int | str) else None))
            return
        spans = usable_spans(entry.get("tokens_positive"), pair.caption, self.counts, where)
        if spans:
            # Many boxes share their spans: one object each, not one a box.
            pair.boxes.append((xyxy, self._spans.setdefault(spans, spans)))
            if self._with_masks:
                shape = entry.get("segmentation")
                pair.masks.append(self._read.read(shape, pair.size_wh, where))
        else:
            self.counts.drop(NO_SPAN, where=where)

    def finish(self) -> GoldSet:
        samples = []
        while self._pairs:
            pair = self._pairs.pop(next(iter(self._pairs)))
            samples.append(_sample(pair, self.name, self.counts))
            if any(pair.masks):
                self._masks[pair.sample_id] = tuple(pair.masks)
            crowds = tuple(
                replace(crowd, category=self._categories.get(category, "object"))
                for crowd, category in pair.crowds
            )
            facts = replace(self.licenses.facts(pair.stated), crowds=crowds)
            if facts != ImageFacts():
                self._facts[pair.sample_id] = facts
        return GoldSet(
            name=self.name,
            format="mdetr",
            kind=GoldKind.GROUNDING,
            samples=tuple(samples),
            masks=self._masks,
            facts=self._facts,
            licenses=self.licenses.counted(),
            counts=finish_counts(self.counts, tuple(samples)),
        )


def _sample(pair: _Pair, source: str, counts: GoldCounts) -> TrainingSample:
    named = [span for _, spans in pair.boxes for span in spans]
    negatives = tuple(
        (start, end)
        for start, end in pair.negatives
        if all(end <= low or start >= high for low, high in named)
    )
    if len(pair.negatives) > len(negatives):
        # The published files have one over the whole caption in nearly every entry: no problem.
        counts[f"dropped: {NEGATIVE_OVERLAP}"] += len(pair.negatives) - len(negatives)
    return TrainingSample(
        sample_id=pair.sample_id,
        image_uri=pair.image_uri,
        width=pair.size_wh[0],
        height=pair.size_wh[1],
        caption=pair.caption,
        boxes=tuple(xyxy for xyxy, _ in pair.boxes),
        spans=tuple(spans for _, spans in pair.boxes),
        weights=(1.0,) * len(pair.boxes),
        negative_spans=negatives,
        source=source,
    )
