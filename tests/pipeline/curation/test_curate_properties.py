"""What must hold for any annotation, policy and decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.curation.box_state import resolve_record
from pipeline.curation.curated_record import curated_record
from pipeline.curation.curated_table import curated_table
from pipeline.curation.label_stats import label_stats
from pipeline.curation.manifest import CurateStats
from pipeline.curation.rules.candidates import candidates_of, candidates_of_rows
from pipeline.curation.rules.filter_result import KEPT, MERGED, DropCounts
from pipeline.curation.rules.filters import filter_candidates, filter_rows
from pipeline.curation.rules.phrase_rules import is_nonword, phrase_head
from pipeline.curation.rules.policy import FilterPolicy
from schemas.checks import check_curated
from schemas.records import Annotation, CuratedRecord, Decision, PhraseStatus, Status, Verdict
from schemas.tables import annotations_to_table, curated_to_table, table_to_curated
from tests.pipeline.curation.rules.row_engine import RowCounts, apply_policy
from tests.pipeline.curation.test_decisions import decided
from tests.schemas.builders import make_annotation, make_box, make_phrase

corners = st.builds(
    lambda x, y, w, h: (float(x), float(y), float(min(x + w, 64)), float(min(y + h, 48))),
    st.integers(0, 63),
    st.integers(0, 47),
    st.integers(1, 64),
    st.integers(1, 48),
)
scores = st.floats(0, 1, width=32)


CAPTIONS = (
    ("a dog and a café", (("a dog", "dog"), ("a café", "café"))),
    ("The Dog near 1990s", (("The Dog", ""), ("1990s", "1990"))),
    ("a very long red umbrella", (("a very long red umbrella", "umbrella"), ("red", ""))),
)


@st.composite
def annotations(draw: Any) -> Annotation:
    boxes = tuple(
        make_box(box_id=f"toy/0#{n}", phrase_index=phrase, score=score, xyxy=xyxy)
        for n, (phrase, score, xyxy) in enumerate(
            draw(st.lists(st.tuples(st.integers(0, 1), scores, corners), max_size=12))
        )
    )
    caption, named = draw(st.sampled_from(CAPTIONS))
    return make_annotation(
        boxes=boxes,
        status=Status.OK if boxes else Status.NO_BOXES,
        caption=caption,
        phrases=tuple(make_phrase(caption, text, head=head) for text, head in named),
    )


share = st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0])
policies = st.builds(
    FilterPolicy,
    name=st.just("any"),
    drop_words=st.sampled_from([(), ("dog",), ("dog", "café")]),
    drop_nonwords=st.booleans(),
    class_thresholds=st.sampled_from([{}, {"dog": 0.6, "umbrella": 0.2}]),
    phrase_thresholds=st.sampled_from([{}, {"dog": 0.1, "very long red umbrella": 0.7}]),
    contained_same=st.none() | share,
    contained_other=st.none() | share,
    score_threshold=st.sampled_from([0.0, 0.3, 0.9]),
    min_side_px=st.sampled_from([0.0, 1.0, 20.0]),
    nms_iou=st.none() | share,
    max_area_share=share,
    long_span_share=share,
    long_span_max_area_share=share,
    cross_phrase=st.sampled_from(["keep", "merge", "suppress"]),
    cross_phrase_iou=share,
    max_boxes_per_phrase=st.none() | st.integers(1, 3),
    max_boxes_per_image=st.none() | st.integers(1, 3),
    min_boxes=st.integers(0, 3),
    min_best_score=share,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(annotations(), max_size=4), policies)
def test_every_box_is_kept_merged_or_dropped_once(
    rows: list[Annotation], policy: FilterPolicy
) -> None:
    """And by the same rule as one pair after the other, whatever stands beside it."""
    oracle = RowCounts()
    results = filter_rows(rows, policy)
    for row, result in zip(rows, results, strict=True):
        assert result == apply_policy(row, policy)
        assert filter_rows([row], policy) == [result]
        oracle.add(row, result)
        members = [index for box in result.boxes for index in box.members]
        assert len(members) == len(set(members))
        if result.image_reason == KEPT:
            passed = {n for n, reason in enumerate(result.reasons) if reason in (KEPT, MERGED)}
            assert set(members) == passed  # what is merged stands on exactly one kept box
        ordered = [box.score for box in result.boxes]
        assert ordered == sorted(ordered, reverse=True)
    candidates, counts = candidates_of_rows(rows), DropCounts()
    counts.add(candidates, filter_candidates(candidates, policy))
    assert counts == oracle.counts
    assert counts.boxes_kept + counts.boxes_merged + counts.boxes_dropped.total() == counts.boxes
    assert counts.records_kept + counts.records_dropped.total() == len(rows)


def with_dropped(record: CuratedRecord, policy: FilterPolicy) -> CuratedRecord:
    """Phrases that the policy drops by their words say so, one by one."""
    phrases = [
        replace(p, status=PhraseStatus.DROPPED)
        if phrase_head(p) in policy.words() or (policy.drop_nonwords and is_nonword(p.text))
        else p
        for p in record.phrases
    ]
    return replace(record, phrases=tuple(phrases))


@settings(max_examples=150, deadline=None)
@given(st.lists(annotations(), min_size=1, max_size=4), policies)
def test_curated_columns_are_curated_rows(rows: list[Annotation], policy: FilterPolicy) -> None:
    table = annotations_to_table(rows)
    candidates = candidates_of(table)
    outcome = filter_candidates(candidates, policy)
    kept = np.flatnonzero(outcome.image_codes == 0)
    found = curated_table(table, candidates, outcome, kept, policy_id="t@0", decisions_id="")
    stats = CurateStats(policy_id="t@0", decisions_id="", annotations_id="", is_complete=True)
    nothing = resolve_record(rows[0], [])
    each = [curated_record(r, apply_policy(r, policy), policy, nothing, stats) for r in rows]
    wanted = [with_dropped(record, policy) for record in each if record is not None]
    assert table_to_curated(found) == wanted
    assert found.equals(curated_to_table(wanted))
    assert label_stats([found]) == label_stats([curated_to_table(wanted)])


@st.composite
def decisions(draw: Any) -> list[Decision]:
    rows = []
    for number in range(draw(st.integers(0, 8))):
        verdict = draw(st.sampled_from([v for v in Verdict if v != Verdict.PHRASE]))
        box = draw(st.integers(0, 11))
        place: dict[str, Any] = {"box_id": f"toy/0#{box}"}
        if verdict == Verdict.ADD:
            place = {"box_id": f"toy/0#new{box}", "phrase_index": draw(st.integers(0, 1))}
        if verdict in (Verdict.ADD, Verdict.EDIT):
            place["xyxy"] = draw(corners)
        rows.append(decided(number, verdict, **place))
    return rows


@settings(max_examples=300, deadline=None)
@given(annotations(), policies, decisions())
def test_people_have_the_last_word(
    row: Annotation, policy: FilterPolicy, rows: list[Decision]
) -> None:
    known = {box.box_id for box in row.boxes}
    rows = [d for d in rows if d.verdict == Verdict.ADD or d.box_id in known]
    stats = CurateStats(
        policy_id=policy.policy_id, decisions_id="", annotations_id="", is_complete=True
    )
    result = filter_rows([row], policy)[0]
    record = curated_record(row, result, policy, resolve_record(row, rows), stats)
    records = [] if record is None else [record]
    last = {d.box_id: d for d in rows}
    wanted = {box_id for box_id, d in last.items() if d.verdict != Verdict.DROP}
    boxes = {}
    for record in records:
        check_curated(record, "t")
        boxes = {box.box_id: box for box in record.boxes}
    for box_id, decision in last.items():
        if decision.verdict == Verdict.DROP:
            assert box_id not in boxes
        elif decision.verdict in (Verdict.EDIT, Verdict.ADD):
            assert boxes[box_id].xyxy == decision.xyxy
            assert boxes[box_id].origin == "human"
    kept = [b for b in row.boxes if b.box_id in wanted and last[b.box_id].verdict == Verdict.KEEP]
    for box in kept:  # itself, or its phrase on the box that it was merged onto
        assert box.box_id in boxes or any(
            box.phrase_index in other.phrase_indices for other in boxes.values()
        )
    assert stats.records_out == len(records)
    assert stats.boxes_out.total() == len(boxes)
