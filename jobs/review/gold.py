"""`glipforge review gold`: gold boxes beside the labels in the app, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import tyro

from jobs.arguments import FileName, MaybeDir, Run
from pipeline.review.sync.store.run_dataset import pushed_dataset, review_store

if TYPE_CHECKING:
    from pipeline.gold import GoldSet
    from pipeline.run.store import RunStore


@dataclass(frozen=True, kw_only=True)
class Gold:
    """Show gold boxes beside the labels: misses, false positives and wrong phrases as views."""

    run: tyro.conf.Positional[Run]
    """The run directory; it was pushed before."""
    gold: FileName
    """Grounding gold of the same captions."""
    gold_format: Literal["auto", "coco", "lvis", "mdetr", "odvg", "flickr30k", "imagefolder"] = (
        "auto"
    )
    """Format of the gold data."""
    image_root: str = ""
    """Where the file names of the gold data start; beside the file if not given."""
    iou: float = 0.5
    """From which overlap on a label is at a gold box's place."""
    dataset: str | None = None
    """Name of the dataset in the app; from the run's name if not given."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


def gold_run(config: Gold) -> int:
    """Compare, save the views and print the counts; returns 0.

    Raises:
        ConfigError: the run was never pushed, the gold is of another kind, or no pair of it fits.
    """
    from pipeline.gold import load_gold
    from pipeline.review.sync.dataset.dataset_process import gold_views
    from pipeline.run.open import open_run
    from schemas.errors import ConfigError

    if not 0.0 < config.iou <= 1.0:
        raise ConfigError(f"iou must be in (0, 1], got {config.iou}")
    run_store = open_run(config.run)
    boxes = gold_boxes(
        run_store, load_gold(config.gold, config.gold_format, image_root=config.image_root)
    )
    with review_store(config.home) as (home, database, store):
        name = pushed_dataset(store, config.run, config.dataset).name
        counts = gold_views(home, database.uri, name, boxes, iou=config.iou)
    shown = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    print(f"{len(boxes):,} pairs with gold: {shown}")
    print("in the app: the views gold: misses, gold: false positives, gold: wrong phrases")
    return 0


def gold_boxes(run_store: RunStore, gold: GoldSet) -> dict[str, list[tuple[str, list[float]]]]:
    """Record id -> the gold boxes of that pair: the run's own words for the phrase, and the place.

    Raises:
        ConfigError: the gold is detection gold, or no pair of the run is in it.
    """
    from pipeline.evaluation.gold_index import JoinCounts, join_run
    from pipeline.evaluation.phrase_recall import gold_phrases
    from pipeline.evaluation.run_join import same_phrase
    from pipeline.gold.gold_set import GoldKind
    from schemas.boxes import xyxy_to_relative_xywh
    from schemas.errors import ConfigError

    if gold.kind != GoldKind.GROUNDING:
        raise ConfigError(
            f"gold of kind {gold.kind} has no phrases; `glipforge evaluate` measures against it"
        )
    found: dict[str, list[tuple[str, list[float]]]] = {}
    for pair in join_run(run_store.iter_annotations(), gold, JoinCounts()):
        record, sample = pair.record, pair.sample
        boxes = found.setdefault(record.record_id, [])
        for phrase in gold_phrases(sample):
            index = same_phrase(phrase.span, record.phrases)
            words = (
                sample.caption[slice(*phrase.span)] if index is None else record.phrases[index].text
            )
            places = xyxy_to_relative_xywh(phrase.xyxy, (record.width, record.height))
            boxes += [(words, place) for place in places.tolist()]
    return found
