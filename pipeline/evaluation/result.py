"""The figures of one evaluation: as JSON, and as the rows of a table."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.evaluation.bootstrap import Interval, drawn_interval
from pipeline.evaluation.detection import COCO, FIXED, DetectionFigures
from pipeline.evaluation.gold_index import JoinCounts
from pipeline.evaluation.label_quality import LabelQuality
from pipeline.evaluation.phrase_recall import ANY_BOX, OWN_FRAME, PhraseRecall
from pipeline.gold.gold_set import GoldSet
from schemas.damage import whole

MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One line of the table."""

    name: str
    figure: Interval
    chance: float | None
    """What chance gives, None where it has no meaning."""
    of: str
    """What the share is taken of."""


@dataclass(kw_only=True)
class ResultCounts:
    """How much of a results file was compared."""

    results: int = 0
    taken: int = 0
    unknown_images: Counter[str] = field(default_factory=Counter)
    """Image id -> its results; gold does not list the image."""
    unknown_categories: Counter[str] = field(default_factory=Counter)
    """Category id -> its results; gold does not list the category."""
    broken: Counter[str] = field(default_factory=Counter)
    """What is wrong with a result -> how many are so."""
    images_without: int = 0
    """Gold images without any result: what they hold counts as not found."""

    def notes(self, num_images: int) -> list[str]:
        """What was left out, in sentences."""
        notes = []
        for what, unknown in (
            ("images", self.unknown_images),
            ("categories", self.unknown_categories),
        ):
            if unknown:
                notes.append(
                    f"{unknown.total()} results are of {len(unknown)} {what} that gold does not "
                    f"list, and are not judged: {_named(unknown)}"
                )
        notes += [f"{number} results left out: {reason}" for reason, number in self.broken.items()]
        if self.images_without:
            notes.append(
                f"{self.images_without} of {num_images} gold images have no result: their boxes "
                "count as not found"
            )
        return notes


@dataclass(kw_only=True)
class EvaluationResult:
    """What was measured, on what, and what was left out."""

    subject: str
    """The teacher's id, or the run."""
    gold: str
    gold_format: str
    gold_counts: Mapping[str, int]
    recalls: list[PhraseRecall] = field(default_factory=list)
    labels: LabelQuality | None = None
    labels_policy: str = ""
    """Policy id of the judged labels."""
    detection: DetectionFigures | None = None
    agnostic_recall: Interval | None = None
    """Of a run's boxes on detection gold."""
    join: JoinCounts | None = None
    results: ResultCounts | None = None
    """Of a results file."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know: prompts, samples that could not be used."""

    @classmethod
    def of_gold(cls, subject: str, gold: GoldSet) -> EvaluationResult:
        """An empty result about a gold set."""
        return cls(
            subject=subject, gold=gold.name, gold_format=gold.format, gold_counts=gold.counts
        )

    def rows(self) -> list[FigureRow]:
        """The lines of the table, in reading order."""
        rows = []
        for recall in self.recalls:
            of = f"{recall.num_phrases} phrases, {recall.num_images} pairs"
            rule = recall.protocol if recall.frame == OWN_FRAME else f"{recall.protocol}, XML"
            for k, figure in recall.recall.items():
                name = f"phrase R@{k} ({rule})"
                rows.append(FigureRow(name, figure, recall.chance[k].value, of))
            name = f"phrase upper bound ({rule})"
            rows.append(FigureRow(name, recall.upper_bound, None, of))
        if self.labels is not None:
            precision, labels = self.labels.precision, f"{self.labels.num_labels} labels"
            chance = self.labels.chance_precision.value
            rows.append(FigureRow("label precision", precision, chance, labels))
            gold = f"{self.labels.num_gold} gold box-phrase links"
            rows.append(FigureRow("label recall", self.labels.recall, None, gold))
        if self.detection is not None:
            rows += _detection_rows(self.detection)
        if self.agnostic_recall is not None:
            rows.append(
                FigureRow("recall@20 of any name", self.agnostic_recall, None, "all gold boxes")
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON; what could not be measured is null."""
        content = {key: value for key, value in vars(self).items() if value is not None}
        return dict(_plain(content))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFigure:
    """A figure of a written result, with its interval and what chance gives."""

    value: float | None
    """None, and the others too, where there was nothing to measure."""
    low: float | None
    high: float | None
    chance: float | None = None
    """None where chance has no meaning."""

    def texts(self) -> tuple[str, str, str]:
        """Value, interval and chance for a table."""
        if self.value is None or self.low is None or self.high is None:
            return "nothing to measure", "", ""
        chance = "" if self.chance is None else f"{self.chance:.3f}"
        return f"{self.value:.3f}", f"{self.low:.3f} - {self.high:.3f}", chance


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenResult:
    """Figures of an `EvaluationResult` that was written as JSON; None where gold of its kind has
    no such figure."""

    phrase_r1: WrittenFigure | None
    """Recall at one of phrases, in any of their boxes, in the frame of the boxes."""
    label_precision: WrittenFigure | None
    label_recall: WrittenFigure | None
    ap50: WrittenFigure | None
    any_name_r20: WrittenFigure | None
    """Recall at 20 of boxes, whatever their names."""

    @classmethod
    def read(cls, path: Path) -> WrittenResult:
        """The result in a file of `glipforge evaluate --out`.

        Raises:
            DataError: it is none.
        """
        with whole(str(path), "delete it, and measure again"):
            raw = json.loads(path.read_text(encoding="utf-8"))
            labels, detection = raw.get("labels"), raw.get("detection")
            phrases = [
                WrittenFigure(**one["recall"]["1"], chance=one["chance"]["1"]["value"])
                for one in raw["recalls"]
                if (one["protocol"], one["frame"]) == (ANY_BOX, OWN_FRAME)
            ]
            return cls(
                phrase_r1=phrases[0] if phrases else None,
                label_precision=WrittenFigure(
                    **labels["precision"], chance=labels["chance_precision"]["value"]
                )
                if labels
                else None,
                label_recall=WrittenFigure(**labels["recall"]) if labels else None,
                ap50=WrittenFigure(**detection["ap50"], chance=detection["chance_ap50"])
                if detection
                else None,
                any_name_r20=WrittenFigure(**detection["agnostic_recall"]) if detection else None,
            )


def _detection_rows(found: DetectionFigures) -> list[FigureRow]:
    of = f"{found.num_boxes} boxes, {found.num_images} images"
    rule = "" if found.protocol == COCO else f" ({FIXED})"
    intervals = {"AP": found.ap, "AP50": found.ap50}
    rows = []
    for name, value in found.numbers.items():
        figure = intervals.get(name, drawn_interval(value, []))
        chance = found.chance_ap50 if name == "AP50" else None
        rows.append(FigureRow(f"{name}{rule}", figure, chance, of))
    for name in ("AP", "AP50"):
        if name in found.lvis:
            figure = drawn_interval(found.lvis[name], [])
            rows.append(FigureRow(f"{name} (LVIS, 300 an image)", figure, None, of))
    rows.append(FigureRow("recall@20 of any name", found.agnostic_recall, None, of))
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _named(unknown: Counter[str]) -> str:
    shown = [f"{name[:40]} ({number})" for name, number in unknown.most_common(MAX_NAMED)]
    more = len(unknown) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
