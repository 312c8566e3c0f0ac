"""Runs joined into one export."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from pipeline.export.gold_facts import OTHER_STATED, facts_of, with_facts
from pipeline.export.merge import (
    JOINED,
    LEFT_CROWD,
    LEFT_STATED,
    OTHER_SIZE,
    RENAMED,
    REPEATED,
    merged_records,
)
from pipeline.export.union import united
from pipeline.gold.gold_set import Crowd, ImageFacts
from schemas.records import CuratedBox, CuratedRecord, Phrase
from tests.pipeline.imported.corpora import random_records

CAPTION = "a dog and a cat by a tree"


def phrase(words: str, best: float = 0.0) -> Phrase:
    start = CAPTION.index(words)
    return Phrase(text=words, start=start, end=start + len(words), best_score=best)


def box(number: int, xyxy: tuple[float, ...], *phrases: int, origin: str = "teacher") -> CuratedBox:
    return CuratedBox(
        box_id=f"r#{number}",
        xyxy=xyxy,  # type: ignore[arg-type]
        phrase_indices=phrases,
        score=0.5,
        origin=origin,
    )


def record(phrases: list[Phrase], boxes: list[CuratedBox], **changes: str) -> CuratedRecord:
    whole = CuratedRecord(
        record_id="r",
        source="s",
        image_uri="a.jpg",
        image_sha256="",
        width=100,
        height=80,
        caption=CAPTION,
        phrases=tuple(phrases),
        boxes=tuple(boxes),
        teacher_id="one",
        policy_id="p",
        decisions_id="",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


DOG, CAT, TREE = phrase("a dog", 0.4), phrase("a cat"), phrase("a tree")


def test_a_union_has_each_thing_once() -> None:
    first = record([DOG, CAT], [box(0, (0, 0, 20, 20), 0)])
    other = record(
        [TREE, DOG],
        [
            box(0, (1, 1, 21, 20), 1),  # the same dog
            box(1, (50, 50, 70, 70), 1),  # another dog
            box(2, (0, 0, 20, 20), 0, 1),  # a tree in the place of the dog: the tree is new
        ],
        teacher_id="two",
    )
    both = united(first, other)
    assert [one.text for one in both.phrases] == ["a dog", "a cat", "a tree"]
    assert [(one.box_id, one.phrase_indices) for one in both.boxes] == [
        ("r#0", (0,)),
        ("r#+1", (0,)),
        ("r#+2", (2,)),
    ]
    assert both.teacher_id == "one + two"
    assert united(both, other).boxes == both.boxes  # joining again changes nothing


def test_people_are_believed_before_teachers() -> None:
    first = record([DOG], [box(0, (0, 0, 20, 20), 0)])
    other = record([DOG], [box(0, (2, 2, 20, 20), 0, origin="human")])
    (only,) = united(first, other).boxes
    assert (only.xyxy, only.origin) == ((2, 2, 20, 20), "human")


def test_boxes_of_one_run_are_never_joined_with_each_other() -> None:
    close = [box(0, (0, 0, 20, 20), 0), box(1, (0, 0, 20, 19), 0)]
    assert len(united(record([DOG], close), record([DOG], [])).boxes) == 2


def test_pairs_of_several_runs(tmp_path: Path) -> None:
    one = record([DOG], [box(0, (0, 0, 20, 20), 0)])
    two = record([DOG, CAT], [box(0, (30, 30, 60, 60), 1)])
    three = record([TREE], [box(0, (70, 0, 90, 80), 0)], record_id="other")
    only = record([CAT], [], caption="a cat", record_id="r")
    large = record([DOG], [box(0, (0, 0, 9, 9), 0)])
    large = replace(large, width=1000)
    counts: Counter[str] = Counter()
    found = list(merged_records([[one], [two, only, large], [three]], counts, "union"))
    assert [len(each.boxes) for each in found] == [3, 0]
    assert [each.record_id for each in found] == ["r", "r~2"]
    assert +counts == {JOINED: 2, OTHER_SIZE: 1, RENAMED: 1}
    counts.clear()
    found = list(merged_records([[one], [two, only, large], [three]], counts))
    assert [len(each.boxes) for each in found] == [1, 0]
    assert +counts == {REPEATED: 3, RENAMED: 1}


def test_no_fact_of_an_image_is_lost_in_silence() -> None:
    def of(*crowds: Crowd, **stated: str) -> CuratedRecord:
        return with_facts(
            record([DOG], [box(0, (0, 0, 20, 20), 0)]), ImageFacts(crowds=crowds, **stated)
        )

    people = Crowd(xyxy=(0, 0, 50, 50), category="person")
    nearly = Crowd(xyxy=(1, 0, 50, 50), category="person")
    dogs = Crowd(xyxy=(0, 0, 50, 50), category="dog")
    one = of(people, license="BY")
    two = of(people, nearly, dogs, license="PD", coco_url="http://x/a.jpg")
    counts: Counter[str] = Counter()
    (found,) = merged_records([[one], [two], [two]], counts)
    assert facts_of(found) == facts_of(one)
    assert +counts == {REPEATED: 2, LEFT_CROWD: 2, LEFT_STATED: 2}
    counts.clear()
    (found,) = merged_records([[one], [two]], counts, "union")
    assert facts_of(found) == ImageFacts(
        crowds=(people, dogs), license="BY", coco_url="http://x/a.jpg"
    )
    assert +counts == {JOINED: 1, OTHER_STATED: 1}
    counts.clear()
    wide = replace(two, width=1000)
    (found,) = merged_records([[one], [wide]], counts, "union")
    assert +counts == {OTHER_SIZE: 1, LEFT_CROWD: 3}
    for rule in ("first", "union"):
        counts.clear()
        assert list(merged_records([[two], [two]], counts, rule)) == [two]  # type: ignore[arg-type]
        assert (+counts).keys() <= {REPEATED, JOINED}


def test_a_run_united_with_itself_is_itself(tmp_path: Path) -> None:
    records = random_records(tmp_path, 5, 6)
    found = list(merged_records([records, records], Counter(), "union"))
    assert found == records
