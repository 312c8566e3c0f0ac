"""The figures of a labelled run against gold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.evaluation.detection import agnostic_recall
from pipeline.evaluation.gold_index import JoinCounts, JoinedPair, LabelledPair, join_run
from pipeline.evaluation.label_quality import label_quality
from pipeline.evaluation.phrase_recall import PhraseImage, phrase_recalls
from pipeline.evaluation.result import EvaluationResult
from pipeline.evaluation.run_join import all_boxes, category_image, phrase_image
from pipeline.evaluation.synonyms import BUILT_IN, Synonyms
from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.boxes import as_boxes

_NO_BOXES = as_boxes([])


def run_figures(
    subject: str,
    gold: GoldSet,
    candidates: Iterable[LabelledPair],
    labels: Iterable[LabelledPair],
    policy_id: str,
    synonyms: Synonyms = BUILT_IN,
) -> EvaluationResult:
    """Recall of all candidates by rank, and precision and recall of the labels that were kept.

    Against detection gold, the phrases are those whose head noun is a category of the image.

    Raises:
        ConfigError: not one record has a gold sample.
    """
    result, counts = EvaluationResult.of_gold(subject, gold), JoinCounts()
    joined = join_run(candidates, gold, counts)
    images = [_image(pair, gold, counts, synonyms) for pair in joined]
    result.recalls = phrase_recalls(images, [pair.sample for pair in joined], gold)
    result.join = counts
    if gold.kind == GoldKind.DETECTION:
        result.agnostic_recall = agnostic_recall(
            (pair.sample.boxes, *all_boxes(pair.record)) for pair in joined
        )
        by_synonym = counts.phrases_by_synonym
        result.notes.append(
            "phrases: those of the caption whose head noun names a gold category, "
            f"{by_synonym} by another word for it (--synonyms)"
        )
    # Pairs without a kept label count too: their gold links are not found.
    wanted = {pair.record.record_id for pair in joined}
    kept = {record.record_id: record for record in labels if record.record_id in wanted}
    label_counts = JoinCounts()
    kept_images = [
        _image(replace(pair, record=kept[pair.record.record_id]), gold, label_counts, synonyms)
        if pair.record.record_id in kept
        else PhraseImage(phrases=image.phrases, ranked=(_NO_BOXES,) * len(image.phrases))
        for pair, image in zip(joined, images, strict=True)
    ]
    result.labels = label_quality(kept_images)
    result.labels_policy = policy_id
    if label_counts.labels_elsewhere:
        result.notes.append(
            f"{label_counts.labels_elsewhere} labels are on phrases that gold does not name; they "
            "are not judged"
        )
    if counts.phrases_missed:
        result.notes.append(
            f"{counts.phrases_missed} of {counts.gold_phrases} gold phrases were not proposed by "
            "the parser: misses in every recall"
        )
    result.notes += counts.notes()
    return result


def _image(pair: JoinedPair, gold: GoldSet, counts: JoinCounts, synonyms: Synonyms) -> PhraseImage:
    if gold.kind == GoldKind.DETECTION:
        return category_image(pair, gold, counts, synonyms)
    return phrase_image(pair, counts)
