"""Every label of a run that gold can judge, each right or wrong: a calibration without people.

Gold's own pairs are judged completely, so what is said about them needs no bound; about pairs that
gold does not have it says nothing, and the share that it covers is stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.curation.calibration import base_policy
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.evaluation.gold_index import GoldIndex, JoinCounts
from pipeline.evaluation.phrase_recall import HIT_IOU, GoldPhrase, gold_phrases
from pipeline.evaluation.run_join import means_category, names_category, same_phrase
from pipeline.evaluation.synonyms import BUILT_IN
from pipeline.gold.checks import clean_name
from pipeline.gold.gold_set import GoldKind, GoldSet
from pipeline.run.columns import run_tables
from pipeline.run.store import RunStore
from pipeline.trust.calibration_figures import JudgedLabels
from pipeline.trust.population import Labels, table_labels
from pipeline.trust.promise import threshold_grid
from pipeline.trust.strata import count_above, lowest_threshold
from schemas.boxes import as_boxes, pairwise_iou
from schemas.errors import ConfigError
from schemas.records import Annotation, TrainingSample
from schemas.tables import table_to_annotations


def judged_by_gold(
    run: RunStore,
    policy: FilterPolicy,
    gold: GoldSet,
    *,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[JudgedLabels, int]:
    """The labels on phrases that gold names, and how many labels the run has.

    A label is right where it lies on a gold box of its phrase, IoU >= 0.5.

    Raises:
        ConfigError: gold judges not one label.
        DataError: a file of the run breaks the contract.
    """
    policy, index, counts = base_policy(policy), GoldIndex(gold), JoinCounts()
    levels: list[float] = []
    rights: list[bool] = []
    nouns: list[str] = []
    found: list[float] = []  # for each gold link the best level of a label on it, -1: none
    total = done = 0
    for table in run_tables(run):
        labels = table_labels(table, policy)
        total += len(labels)
        rows = labels.candidates.row_of[labels.index]
        of_label = labels.nouns()
        for number, record in enumerate(table_to_annotations(table)):
            match = index.find(record, counts)
            if match is None:
                continue  # no gold sample fits, or several do: none is taken
            sample = match.sample
            own = np.flatnonzero(rows == number)
            for phrase, offered in _phrases(record, sample, gold):
                here = _on(labels, own, number, offered)
                boxes = labels.candidates.boxes_at(labels.index[here])
                hits = pairwise_iou(boxes, phrase.xyxy) >= HIT_IOU
                levels += labels.level[here].tolist()
                rights += [bool(row.any()) for row in hits]
                nouns += [of_label[place] for place in here]
                best = np.where(hits, labels.level[here][:, None], -1.0)
                found += best.max(axis=0, initial=-1.0).tolist()
        done += table.num_rows
        progress(done)
    if not levels:
        raise ConfigError(
            f"gold {gold.name!r} judges no label of this run: no pair of gold is a pair of the run "
            "by id or by file name, or gold names other phrases"
        )
    grid = threshold_grid(lowest_threshold(policy))
    level = np.array(levels)
    stratum = np.zeros(len(level), np.int64)
    return JudgedLabels(
        level=level,
        right=np.array(rights, dtype=bool),
        stratum=stratum,
        nouns=tuple(nouns),
        grid=grid,
        population=count_above(grid, level.astype(np.float32), stratum, 1),
        recall=np.array([np.mean(np.array(found) > np.float32(t)) for t in grid]),
    ), total


def _phrases(
    record: Annotation, sample: TrainingSample, gold: GoldSet
) -> Iterator[tuple[GoldPhrase, tuple[int, ...]]]:
    """Each phrase of gold with its boxes, and the run's phrases that mean the same."""
    if gold.kind == GoldKind.GROUNDING:
        for phrase in gold_phrases(sample):
            best = same_phrase(phrase.span, record.phrases)
            yield phrase, () if best is None else (best,)
        return
    categories = np.asarray(gold.box_categories[sample.sample_id], dtype=np.int64)
    boxes = as_boxes(sample.boxes)
    taken = {clean_name(name).lower() for name in gold.categories}
    for category in np.unique(categories):
        naming = tuple(
            number
            for number, phrase in enumerate(record.phrases)
            if names_category(phrase, gold.categories[category])
            or means_category(phrase, gold.categories[category], BUILT_IN, taken)
        )
        if naming:
            yield GoldPhrase(span=(0, 0), xyxy=boxes[categories == category]), naming


def _on(labels: Labels, own: np.ndarray, row: int, phrases: tuple[int, ...]) -> np.ndarray:
    """Which labels of a row are on one of its phrases."""
    candidates = labels.candidates
    local = candidates.phrase_of[labels.index[own]] - candidates.phrases.offsets[row]
    return np.asarray(own[np.isin(local, phrases)])
