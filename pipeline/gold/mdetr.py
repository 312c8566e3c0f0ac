"""MDETR's grounding JSON (GoldG: Flickr30k and the mixed set), which GLIP trains on.

COCO-shaped, one image entry per image-caption pair; every annotation names character spans of the
caption in `tokens_positive`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.gold.checks import (
    CROWD,
    NO_SPAN,
    image_size,
    join_uri,
    read_json,
    require,
    usable_spans,
    usable_xywh,
)
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, finish_counts
from schemas.errors import DataError
from schemas.records import Span, TrainingSample, Xyxy

NEGATIVE_OVERLAP = "negative span that overlaps a named one"


@dataclass(kw_only=True)
class _Pair:
    sample_id: str
    image_uri: str
    size_wh: tuple[int, int]
    caption: str
    negatives: tuple[Span, ...]
    boxes: list[tuple[Xyxy, tuple[Span, ...]]] = field(default_factory=list)


def load_mdetr(path: str, *, image_root: str) -> GoldSet:
    """Pairs of a grounding JSON. `tokens_negative` that overlap a named span are left out (many
    files hold one span over the whole caption).

    Raises:
        DataError: the file breaks the format.
    """
    raw, name, counts = read_json(path), Path(path).stem, GoldCounts()
    pairs: dict[Any, _Pair] = {}
    for number, entry in enumerate(require(raw, "images", list, path)):
        where = f"{path}: images[{number}]"
        image_id = require(entry, "id", (int, str), where)
        if image_id in pairs:
            raise DataError(f"{where}: id {image_id!r} occurs twice")
        caption = require(entry, "caption", str, where)
        pairs[image_id] = _Pair(
            # Our own exports carry the id of the record; it joins a run to its export.
            sample_id=str(entry.get("record_id") or f"{name}/{image_id}"),
            image_uri=join_uri(image_root, require(entry, "file_name", str, where)),
            size_wh=image_size(entry, where),
            caption=caption,
            negatives=usable_spans(entry.get("tokens_negative"), caption, counts),
        )
    for number, entry in enumerate(require(raw, "annotations", list, path)):
        _add_box(entry, f"{path}: annotations[{number}]", pairs, counts)
    samples = tuple(_sample(pair, name, counts) for pair in pairs.values())
    return GoldSet(
        name=name,
        format="mdetr",
        kind=GoldKind.GROUNDING,
        samples=samples,
        counts=finish_counts(counts, samples),
    )


def _add_box(entry: Any, where: str, pairs: dict[Any, _Pair], counts: GoldCounts) -> None:
    pair = pairs.get(require(entry, "image_id", (int, str), where))
    if pair is None:
        raise DataError(f"{where}: image_id {entry['image_id']!r} is not in images")
    if entry.get("iscrowd"):
        counts.drop(CROWD)
        return
    xyxy = usable_xywh(entry.get("bbox"), pair.size_wh, counts)
    if xyxy is None:
        return
    spans = usable_spans(entry.get("tokens_positive"), pair.caption, counts)
    if spans:
        pair.boxes.append((xyxy, spans))
    else:
        counts.drop(NO_SPAN)


def _sample(pair: _Pair, source: str, counts: GoldCounts) -> TrainingSample:
    named = [span for _, spans in pair.boxes for span in spans]
    negatives = tuple(
        (start, end)
        for start, end in pair.negatives
        if all(end <= low or start >= high for low, high in named)
    )
    counts.drop(NEGATIVE_OVERLAP, len(pair.negatives) - len(negatives))
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
