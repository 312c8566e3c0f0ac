"""Phrases that people marked in a caption."""

from __future__ import annotations

import pytest

from pipeline.curation.box_state import box_histories, pair_history
from pipeline.curation.own_phrases import with_phrases
from schemas.errors import DataError
from schemas.records import Decision, Verdict
from schemas.tables import decisions_to_table, table_to_decisions
from tests.pipeline.review.builders import decide, make_row


def phrase(index: int, span: tuple[int, int] | None, number: int = 0) -> Decision:
    return decide("", Verdict.PHRASE, number, phrase_index=index, span=span)


def test_they_stand_behind_the_teachers_at_their_numbers() -> None:
    row = make_row()
    count = len(row.phrases)
    marked = with_phrases(row, [phrase(count + 1, (0, 1), 2), phrase(count, (2, 5), 1)])
    assert marked.phrases[:count] == row.phrases
    assert [p.text for p in marked.phrases[count:]] == [row.caption[2:5], row.caption[0:1]]
    assert with_phrases(row, []) is row


def test_said_twice_is_one() -> None:
    row = make_row()
    count = len(row.phrases)
    both = [phrase(count, (2, 5), 1), phrase(count, (2, 5), 2)]
    assert len(with_phrases(row, both).phrases) == count + 1


@pytest.mark.parametrize(
    ("index", "span", "words"),
    [
        (7, (0, 3), "phrase_index must be 2, got 7"),
        (0, (0, 3), "phrase_index must be 2, got 0"),
        (2, (0, 999), r"span \[0, 999\) is not in the caption"),
    ],
)
def test_what_cannot_be_is_said(index: int, span: tuple[int, int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        with_phrases(make_row(), [phrase(index, span)])


def test_a_box_may_have_one_and_the_pair_has_no_word_by_it() -> None:
    row = make_row()
    count = len(row.phrases)
    edit = decide("toy/0#0", Verdict.EDIT, 2, phrase_index=count)
    histories = box_histories(row, [phrase(count, (2, 5), 1), edit])
    assert histories["toy/0#0"].current().phrase_index == count
    with pytest.raises(DataError, match="is not one of the 2 phrases"):
        box_histories(row, [edit])
    assert pair_history([phrase(count, (2, 5))]).decisions == ()


def test_the_span_is_kept_in_files_and_files_without_it_are_read() -> None:
    said = [phrase(2, (2, 5)), decide("toy/0#0", Verdict.KEEP)]
    table = decisions_to_table(said)
    assert table_to_decisions(table) == said
    older = table_to_decisions(decisions_to_table(said[1:]).drop_columns(["span"]))
    assert older == said[1:]


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (phrase(2, None), "phrase needs span and phrase_index"),
        (phrase(2, (3, 3)), r"span must be \[start, end\)"),
        (decide("toy/0#0", Verdict.KEEP, span=(0, 1)), "of a verdict phrase"),
    ],
)
def test_a_span_has_its_form(decision: Decision, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decisions_to_table([decision])
