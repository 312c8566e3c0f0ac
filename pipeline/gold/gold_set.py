"""What an importer of human-made boxes returns: training samples, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.errors import DataError
from schemas.records import Span, TrainingSample, Xyxy


class GoldKind(StrEnum):
    """What the captions of a gold set are."""

    GROUNDING = "grounding"  # sentences of people (or of a generator) with phrases
    DETECTION = "detection"  # category names joined by ". ": one span per category of the image


def grounding_sample(
    sample_id: str,
    image_uri: str,
    size_wh: tuple[int, int],
    caption: str,
    boxes: Sequence[tuple[Xyxy, tuple[Span, ...]]],
    source: str,
) -> TrainingSample:
    """A sentence and its image; `boxes` [K] with the spans that name each, all of weight 1."""
    return TrainingSample(
        sample_id=sample_id,
        image_uri=image_uri,
        width=size_wh[0],
        height=size_wh[1],
        caption=caption,
        boxes=tuple(xyxy for xyxy, _ in boxes),
        spans=tuple(spans for _, spans in boxes),
        weights=(1.0,) * len(boxes),
        source=source,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """The pixels of a box's object: COCO's compressed run lengths of the whole image."""

    counts: str
    area: int
    """In pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredBox:
    """A region where a detection of a category is neither right nor wrong (COCO's crowds)."""

    xyxy: Xyxy
    category: int
    """Index into the set's `categories`."""
    mask: Mask | None = None
    """COCO, where masks were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """A region to ignore, with the name of its category."""

    xyxy: Xyxy
    category: str
    mask: Mask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What a file says of an image beside its boxes; empty where it says nothing."""

    license: str = ""
    """Its name."""
    license_url: str = ""
    coco_url: str = ""
    flickr_url: str = ""
    crowds: tuple[Crowd, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GoldSet:
    """Gold boxes of one data set, in memory.

    A detection set also holds its images without any box (caption and boxes are empty): they
    count when detections are scored, and are full negatives in training.
    """

    name: str
    format: str
    kind: GoldKind
    samples: tuple[TrainingSample, ...]
    categories: tuple[str, ...] = ()
    """Detection: every category name as the file has it, also those without a box, in id order."""
    category_ids: tuple[int | str, ...] = ()
    """Detection: the id of each category in the file; empty where the file has none."""
    box_categories: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Detection: sample_id -> for each box of the sample the index of its category."""
    is_exhaustive: bool = False
    """True where a category without a box in an image is known to be absent there (COCO)."""
    is_labelled: bool = True
    """False for a COCO file that lists images and no annotations at all (image_info of a test
    set): nothing is known of its images."""
    ignored: Mapping[str, tuple[IgnoredBox, ...]] = field(default_factory=dict)
    """sample_id -> regions to ignore when detections are scored."""
    absent: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Federated labels (LVIS): sample_id -> categories that are known to be absent. Categories
    neither present nor absent were not looked for."""
    not_exhaustive: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Federated labels: sample_id -> categories of which not every instance has a box."""
    frequencies: tuple[str, ...] = ()
    """LVIS: `r`, `c` or `f` (rare, common, frequent) for each category."""
    path: str = ""
    """COCO and LVIS: the file, from which boxes are read again as they stand there (outside of the
    image, with the area of their mask) to be scored as the reference programs do."""
    image_ids: Mapping[str, int | str] = field(default_factory=dict)
    """COCO and LVIS: sample_id -> the id of its image in the file."""
    published_boxes: Mapping[str, tuple[Xyxy, ...]] = field(default_factory=dict)
    """Flickr30k Entities: sample_id -> its boxes with the numbers of the XML as corners, as
    published figures take them. They count pixels from 1; `boxes` of the sample from 0."""
    masks: Mapping[str, tuple[Mask | None, ...]] = field(default_factory=dict)
    """COCO, LVIS and MDETR, where they were asked for: sample_id -> for each box its mask."""
    licenses: Mapping[str, int] = field(default_factory=dict)
    """Licences as the file names them -> images."""
    facts: Mapping[str, ImageFacts] = field(default_factory=dict)
    """COCO, LVIS and MDETR, where masks were asked for: sample_id -> what is said of its image.
    Crowds of detection sets stand in `ignored`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """`samples`, `boxes`, one `dropped: <reason>` for every box, span or image left out, and one
    `clipped: <reason>` for every box that was moved into its image."""


Report = Callable[[str, str], object]
"""Takes a place (`val.json: annotations[3]`) and what is wrong there."""
BROKEN_ENTRY = "entry that breaks the format"


class GoldCounts(Counter[str]):
    """The counts of an import while it runs.

    With a `report`, every problem is told with its place, and an entry that breaks the format is
    left out; without one, such an entry ends the import.
    """

    def __init__(self, report: Report | None = None) -> None:
        super().__init__()
        self.report = report

    def drop(self, reason: str, number: int = 1, *, where: str = "") -> None:
        """Count something that was left out."""
        self[f"dropped: {reason}"] += number
        if self.report is not None and number:
            self.report(where, reason)

    def clip(self, reason: str, *, where: str = "") -> None:
        """Count something that was changed to fit."""
        self[f"clipped: {reason}"] += 1
        if self.report is not None:
            self.report(where, reason)

    @contextmanager
    def entry(self) -> Iterator[None]:
        """Around the reading of one entry: where problems are reported, it alone is lost."""
        try:
            yield
        except DataError as error:
            if self.report is None:
                raise
            self[f"dropped: {BROKEN_ENTRY}"] += 1
            self.report("", str(error))


def finish_counts(counts: GoldCounts, samples: tuple[TrainingSample, ...]) -> dict[str, int]:
    """The counts of a finished import, in a stable order."""
    counts["samples"] = len(samples)
    counts["boxes"] = sum(len(sample.boxes) for sample in samples)
    return {key: counts[key] for key in sorted(counts)}
