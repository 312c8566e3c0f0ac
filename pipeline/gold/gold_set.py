"""What an importer of human-made boxes returns: training samples, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.records import TrainingSample, Xyxy


class GoldKind(StrEnum):
    """What the captions of a gold set are."""

    GROUNDING = "grounding"  # sentences of people (or of a generator) with phrases
    DETECTION = "detection"  # category names joined by ". ": one span per category of the image


@dataclass(frozen=True, kw_only=True)
class IgnoredBox:
    """A region where a detection of `category` is neither right nor wrong (COCO's crowds)."""

    xyxy: Xyxy
    category: str


@dataclass(frozen=True, kw_only=True)
class GoldSet:
    """Gold boxes of one data set, in memory."""

    name: str
    format: str
    kind: GoldKind
    samples: tuple[TrainingSample, ...]
    categories: tuple[str, ...] = ()
    """Every category name of a detection set, also those without a box, in id order."""
    is_exhaustive: bool = False
    """True where a category without a box in an image is known to be absent there (COCO)."""
    ignored: Mapping[str, tuple[IgnoredBox, ...]] = field(default_factory=dict)
    """sample_id -> regions to ignore when detections are scored."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was read, and every box, span or image that was left out, by reason."""


class GoldCounts(Counter[str]):
    """Counts of an import: `images`, `boxes`, and one `dropped: <reason>` for each loss."""

    def drop(self, reason: str, number: int = 1) -> None:
        """Count something that was left out."""
        self[f"dropped: {reason}"] += number
