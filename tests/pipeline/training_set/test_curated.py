from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pipeline.training_set.curated import curated_samples
from schemas.records import CuratedBox, CuratedRecord, Phrase, PhraseStatus

CAPTION = "a cat, a dog and a very old idea"
PHRASES = (
    Phrase(text="a cat", start=0, end=5, best_score=0.9),
    Phrase(text="a dog", start=7, end=12, best_score=0.02),
    Phrase(text="a very old idea", start=17, end=32, best_score=0.3),
)
BOX = CuratedBox(
    box_id="r#0", xyxy=(1.0, 2.0, 30.0, 40.0), phrase_indices=(0,), score=0.7, origin="teacher"
)
RECORD = CuratedRecord(
    record_id="r",
    source="web",
    image_uri="r.png",
    image_sha256="0" * 64,
    width=64,
    height=48,
    caption=CAPTION,
    phrases=PHRASES,
    boxes=(BOX,),
    teacher_id="t",
    policy_id="p",
    decisions_id="",
)


def convert(*records: CuratedRecord, **given):
    counts: Counter[str] = Counter()
    return list(curated_samples(records, counts, **given)), counts


def test_spans_come_from_the_phrases_and_only_sure_absences_are_negatives():
    (sample,), counts = convert(RECORD)
    assert sample.spans == (((0, 5),),)
    assert [CAPTION[a:b] for a, b in sample.negative_spans] == ["a dog"]
    assert sample.weights == (1.0,)
    assert counts == {"images": 1, "boxes": 1}


def test_the_policy_says_below_which_score_an_absence_is_sure():
    def negatives(below: float) -> list[str]:
        (sample,), _ = convert(RECORD, negative_below=below)
        return [CAPTION[a:b] for a, b in sample.negative_spans]

    scores = {p.text: p.best_score for p in PHRASES[1:] if p.status is PhraseStatus.OK}
    assert negatives(0.0) == []
    assert sorted(negatives(1.0)) == sorted(text for text, score in scores.items() if score < 1)


def test_a_box_of_two_phrases_has_two_spans():
    (sample,), _ = convert(replace(RECORD, boxes=(replace(BOX, phrase_indices=(0, 1)),)))
    assert sample.spans == (((0, 5), (7, 12)),)
    assert sample.negative_spans == ()


def test_teacher_boxes_may_count_by_score_but_human_ones_count_one():
    human = replace(BOX, box_id="r#1", origin="human")
    (sample,), _ = convert(replace(RECORD, boxes=(BOX, human)), weight_by_score=True)
    assert sample.weights == (0.7, 1.0)


def test_a_phrase_that_was_not_asked_for_is_not_a_negative():
    phrases = (PHRASES[0], replace(PHRASES[1], status=PhraseStatus.TRUNCATED))
    (sample,), _ = convert(replace(RECORD, phrases=phrases))
    assert sample.negative_spans == ()


def test_a_record_without_a_box_is_left_out_and_counted():
    samples, counts = convert(replace(RECORD, boxes=()))
    assert samples == []
    assert counts["dropped: image without a box"] == 1
