from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.curation.rules.candidates import candidates_of_rows
from pipeline.curation.rules.filter_result import (
    CROSS_PHRASE,
    HIGH_SCORE,
    IMAGE_CAP,
    INSIDE_OTHER,
    INSIDE_SAME,
    KEPT,
    LONG_SPAN,
    LOW_BEST_SCORE,
    LOW_IMAGE_SCORE,
    LOW_OWN_SCORE,
    LOW_SCORE,
    MERGED,
    PHRASE_NMS,
    PHRASE_NONWORD,
    PHRASE_TOP_K,
    PHRASE_WORD,
    SMALL_SIDE,
    TOO_FEW_BOXES,
    WHOLE_IMAGE,
    DropCounts,
    FilterResult,
)
from pipeline.curation.rules.filters import filter_candidates, filter_rows
from pipeline.curation.rules.phrase_rules import is_nonword, phrase_head
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import get_policy
from schemas.errors import ConfigError
from schemas.records import Annotation, Phrase, Status
from tests.schemas.builders import make_annotation, make_box, make_phrase

HERE = (10.0, 10.0, 20.0, 20.0)
NEAR = (10.0, 10.0, 20.0, 19.5)  # IoU 0.95 with HERE
HALF = (10.0, 10.0, 20.0, 15.0)  # IoU 0.5 with HERE
FAR = (40.0, 10.0, 50.0, 20.0)
ALL = (0.0, 0.0, 64.0, 48.0)


def row_of(*boxes: tuple[int, float, tuple[float, ...]], **changes: Any) -> Annotation:
    made = tuple(
        make_box(box_id=f"toy/0#{n}", phrase_index=phrase, score=score, xyxy=xyxy)
        for n, (phrase, score, xyxy) in enumerate(boxes)
    )
    status = Status.OK if made else Status.NO_BOXES
    return make_annotation(**({"boxes": made, "status": status} | changes))


def apply_policy(row: Annotation, policy: FilterPolicy) -> FilterResult:
    return filter_rows([row], policy)[0]


def counted(rows: list[Annotation], policy: FilterPolicy) -> DropCounts:
    counts, candidates = DropCounts(), candidates_of_rows(rows)
    counts.add(candidates, filter_candidates(candidates, policy))
    return counts


def reasons(row: Annotation, **fields: Any) -> list[str]:
    return list(apply_policy(row, FilterPolicy(name="t", **fields)).reasons)


@pytest.mark.parametrize(
    "boxes, fields, expected",
    [
        ([], {}, []),  # nothing to filter
        ([(0, 0.0, HERE)], {}, [LOW_SCORE]),  # a score of zero is never above the threshold
        ([(0, 0.5, HERE)], {"score_threshold": 0.5}, [LOW_SCORE]),  # at the threshold: out
        ([(0, 0.5001, HERE)], {"score_threshold": 0.5}, [KEPT]),
        ([(0, 0.5, HERE)], {"score_ceiling": 0.5}, [KEPT]),  # at the ceiling: in
        ([(0, 0.51, HERE)], {"score_ceiling": 0.5}, [HIGH_SCORE]),
        ([(0, 0.5, (1, 1, 9, 8.9))], {"min_side_px": 8.0}, [SMALL_SIDE]),
        ([(0, 0.5, (1, 1, 9, 9))], {"min_side_px": 8.0}, [KEPT]),
        # NMS: same phrase only; a better box wins wherever it stands in the row
        ([(0, 0.5, HERE), (0, 0.9, NEAR)], {"nms_iou": 0.6}, [PHRASE_NMS, KEPT]),
        ([(0, 0.5, HERE), (1, 0.9, NEAR)], {"nms_iou": 0.6}, [KEPT, KEPT]),
        ([(0, 0.5, HERE), (0, 0.9, NEAR)], {}, [KEPT, KEPT]),
        ([(0, 0.9, HERE), (0, 0.5, HALF)], {"nms_iou": 0.5}, [KEPT, KEPT]),  # IoU == 0.5 stays
        # equal scores: the earlier box wins
        ([(0, 0.5, HERE), (0, 0.5, NEAR)], {"nms_iou": 0.6}, [KEPT, PHRASE_NMS]),
        ([(0, 0.5, ALL)], {"max_area_share": 0.95}, [WHOLE_IMAGE]),
        ([(0, 0.5, ALL)], {"max_area_share": 1.0}, [KEPT]),
        # across phrases
        ([(0, 0.5, HERE), (1, 0.9, NEAR)], {"cross_phrase": "merge"}, [MERGED, KEPT]),
        ([(0, 0.5, HERE), (1, 0.9, NEAR)], {"cross_phrase": "suppress"}, [CROSS_PHRASE, KEPT]),
        ([(0, 0.5, HERE), (1, 0.9, HALF)], {"cross_phrase": "merge"}, [KEPT, KEPT]),
        ([(0, 0.5, HERE), (0, 0.9, NEAR)], {"cross_phrase": "merge"}, [KEPT, KEPT]),  # one phrase
        # a box inside a better one: of its phrase, of another
        ([(0, 0.5, HALF), (0, 0.9, HERE)], {"contained_same": 0.9}, [INSIDE_SAME, KEPT]),
        ([(0, 0.9, HALF), (0, 0.5, HERE)], {"contained_same": 0.9}, [KEPT, KEPT]),  # half of it
        ([(0, 0.5, HALF), (1, 0.9, HERE)], {"contained_same": 0.9}, [KEPT, KEPT]),
        ([(0, 0.5, HALF), (1, 0.9, HERE)], {"contained_other": 0.9}, [INSIDE_OTHER, KEPT]),
        ([(0, 0.5, HALF), (0, 0.9, HERE)], {"contained_other": 0.9}, [KEPT, KEPT]),
        # a threshold of its own: the phrase's before the class's before the policy's
        ([(0, 0.5, HERE)], {"class_thresholds": {"dog": 0.6}}, [LOW_OWN_SCORE]),
        ([(0, 0.5, HERE)], {"class_thresholds": {"cat": 0.6}}, [KEPT]),
        ([(0, 0.5, HERE)], {"score_threshold": 0.7, "class_thresholds": {"dog": 0.4}}, [KEPT]),
        ([(1, 0.5, HERE)], {"score_threshold": 0.7, "class_thresholds": {"dog": 0.4}}, [LOW_SCORE]),
        (
            [(0, 0.5, HERE)],
            {"class_thresholds": {"dog": 0.6}, "phrase_thresholds": {"dog": 0.3}},
            [KEPT],
        ),
        # counts
        ([(0, 0.5, HERE), (0, 0.9, FAR)], {"max_boxes_per_phrase": 1}, [PHRASE_TOP_K, KEPT]),
        ([(0, 0.5, HERE), (1, 0.9, FAR)], {"max_boxes_per_phrase": 1}, [KEPT, KEPT]),
        ([(0, 0.5, HERE), (1, 0.9, FAR)], {"max_boxes_per_image": 1}, [IMAGE_CAP, KEPT]),
        # the first rule that drops a box is the one that counts it
        ([(0, 0.1, ALL)], {"score_threshold": 0.2, "max_area_share": 0.5}, [LOW_SCORE]),
    ],
)
def test_each_rule(boxes: list, fields: dict, expected: list[str]) -> None:
    assert reasons(row_of(*boxes), **fields) == expected


def test_a_stored_float32_at_the_threshold_is_not_above_it() -> None:
    stored = float(np.float32(0.3))  # 0.30000001192..., greater than 0.3 as a double
    assert reasons(row_of((0, stored, HERE)), score_threshold=0.3) == [LOW_SCORE]


def test_merging_unites_phrases_on_the_better_box_and_deletes_nothing() -> None:
    row = row_of((0, 0.5, HERE), (1, 0.9, NEAR), (1, 0.4, FAR))
    result = apply_policy(row, FilterPolicy(name="t", cross_phrase="merge"))
    assert [(box.index, box.phrase_indices) for box in result.boxes] == [(1, (1, 0)), (2, (1,))]
    assert result.boxes[0].score == pytest.approx(0.9)


def test_what_was_merged_onto_a_capped_box_goes_with_it() -> None:
    row = row_of((0, 0.9, FAR), (1, 0.8, HERE), (0, 0.7, NEAR))
    result = apply_policy(row, FilterPolicy(name="t", cross_phrase="merge", max_boxes_per_image=1))
    assert result.reasons == (KEPT, IMAGE_CAP, IMAGE_CAP)


def test_a_long_span_may_not_name_most_of_the_image() -> None:
    caption = "a very busy market street"
    row = row_of(
        (0, 0.9, (0, 0, 64, 40)),
        caption=caption,
        phrases=(make_phrase(caption, caption), make_phrase(caption, "street")),
    )
    fields = {"long_span_share": 0.8, "long_span_max_area_share": 0.8}
    assert reasons(row, **fields) == [LONG_SPAN]
    short = row_of((1, 0.9, (0, 0, 64, 40)), caption=caption, phrases=row.phrases)
    assert reasons(short, **fields) == [KEPT]


@pytest.mark.parametrize(
    "text, head, words, expected",
    [
        ("the love", "love", ("love",), PHRASE_WORD),
        ("The Love", "", ("love",), PHRASE_WORD),  # no head from the parser: the last word
        ("a love bird", "bird", ("love",), KEPT),  # only the head counts
        ("this", "", ("this",), PHRASE_WORD),  # nothing but a leading word
    ],
)
def test_drop_words_match_the_head(
    text: str, head: str, words: tuple[str, ...], expected: str
) -> None:
    row = row_of((0, 0.9, HERE), caption=text, phrases=(make_phrase(text, text, head=head),))
    assert reasons(row, drop_words=words) == [expected]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", True),
        ("x", True),
        ("7", True),
        ("1,200", True),
        ("12/05/2019", True),
        ("1990s", True),
        ("the 1990s", False),
        ("#sunset", True),
        ("@someone", True),
        ("https://example.org/a b", False),  # words follow
        ("www.example.org/a", True),
        ("IMG_0231.jpg", True),
        ("a dog", False),
        ("3 dogs", False),
        ("ox", False),
        ("猫", False),  # a whole word
        ("黒猫", False),
        ("café", False),
    ],
)
def test_nonwords(text: str, expected: bool) -> None:
    assert is_nonword(text) is expected


def test_nonwords_are_dropped_only_when_asked() -> None:
    row = row_of((0, 0.9, HERE), caption="7 up", phrases=(make_phrase("7 up", "7"),))
    assert reasons(row) == [KEPT]
    assert reasons(row, drop_nonwords=True) == [PHRASE_NONWORD]


def test_head_without_parser() -> None:
    assert phrase_head(Phrase(text="an Old Man", start=0, end=10)) == "man"


@pytest.mark.parametrize(
    "boxes, fields, expected",
    [
        ([], {}, TOO_FEW_BOXES),
        ([], {"min_boxes": 0}, KEPT),  # a pair without boxes may stay: all its phrases negative
        ([], {"min_boxes": 0, "min_best_score": 0.3}, LOW_BEST_SCORE),
        ([(0, 0.2, HERE)], {"min_best_score": 0.3}, LOW_BEST_SCORE),
        ([(0, 0.2, HERE), (1, 0.4, FAR)], {"min_best_score": 0.3}, KEPT),
        ([(0, 0.9, HERE)], {"min_boxes": 2}, TOO_FEW_BOXES),
    ],
)
def test_image_rule(boxes: list, fields: dict, expected: str) -> None:
    result = apply_policy(row_of(*boxes), FilterPolicy(name="t", **fields))
    assert result.image_reason == expected
    assert len(result.boxes) == (len(boxes) if expected == KEPT else 0)


def test_yoloworld_without_clip_scores_says_so() -> None:
    with pytest.raises(ConfigError, match=r"policy 'yoloworld' multiplies each score by .*enrich"):
        apply_policy(row_of((0, 0.9, HERE)), get_policy("yoloworld"))


def test_yoloworld_with_clip_scores() -> None:
    bare = candidates_of_rows([row_of((0, 0.9, HERE), (1, 0.9, FAR))])
    regions = np.array([0.5, 0.3], np.float32)
    scored = replace(bare, region_scores=regions, image_scores=np.array([0.4]))
    result = filter_candidates(scored, get_policy("yoloworld")).row_result(scored, 0)
    assert result.reasons == (KEPT, LOW_SCORE)
    assert result.boxes[0].score == pytest.approx(0.45)
    poor = replace(scored, image_scores=np.array([0.1]))  # sqrt(0.1 x 0.45) = 0.21
    outcome = filter_candidates(poor, get_policy("yoloworld"))
    assert outcome.row_result(poor, 0).image_reason == LOW_IMAGE_SCORE


def test_counts_add_up() -> None:
    policy = FilterPolicy(name="t", score_threshold=0.3, cross_phrase="merge", min_boxes=1)
    rows = [
        row_of((0, 0.5, HERE), (1, 0.9, NEAR), (1, 0.1, FAR)),
        row_of((0, 0.2, HERE)),
        row_of(),
        row_of(phrases=(), status=Status.NO_PHRASES),
    ]
    counts = counted(rows, policy)
    assert (counts.records, counts.records_kept) == (4, 1)
    assert counts.records_dropped == {TOO_FEW_BOXES: 1, "no_boxes": 1, "no_phrases": 1}
    assert (counts.boxes, counts.boxes_kept, counts.boxes_merged) == (4, 1, 1)
    assert counts.boxes_dropped == {LOW_SCORE: 2}
    assert counts.boxes == counts.boxes_kept + counts.boxes_merged + counts.boxes_dropped.total()


def test_a_pair_left_out_by_the_image_rule_counts_its_boxes_there() -> None:
    counts = counted([row_of((0, 0.9, HERE))], FilterPolicy(name="t", min_boxes=2))
    assert counts.boxes_dropped == {TOO_FEW_BOXES: 1}
