"""No box is no absence: what a negative is, for exports and training alike."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.curation.curate import curate_run, iter_curated
from pipeline.curation.decisions import append_decisions
from pipeline.curation.negatives import negative_phrases
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.export import ExportOptions, export_records
from pipeline.export.union import united
from pipeline.training_set.curated import curated_samples
from schemas.records import CuratedRecord, Decision, PhraseStatus, Verdict
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_annotation, make_box, make_decision, make_phrase

CAPTION = "a dog, a cat and a red umbrella by a tree"
ROW = make_annotation(
    record_id="n/0",
    caption=CAPTION,
    phrases=(
        make_phrase(CAPTION, "a dog", head="dog", best_score=0.9),
        make_phrase(CAPTION, "a cat", head="cat", best_score=0.02),
        make_phrase(CAPTION, "umbrella", head="umbrella", best_score=0.03),
        make_phrase(CAPTION, "a tree", head="tree", best_score=0.4),
    ),
    boxes=(make_box(box_id="n/0#0", phrase_index=0, score=0.9, xyxy=(1.0, 1.0, 20.0, 20.0)),),
)


def said(verdict: Verdict, box_id: str = "", **changes: Any) -> Decision:
    fields = {"xyxy": None, "phrase_index": None, "record_id": "n/0"} | changes
    name = f"{verdict}{box_id}"
    return make_decision(decision_id=name, verdict=verdict, box_id=box_id, **fields)


start = CAPTION.index("red umbrella")
MARKED = said(Verdict.PHRASE, phrase_index=4, span=(start, start + len("red umbrella")))
DRAWN = said(Verdict.ADD, "n/0#new", xyxy=(30.0, 5.0, 44.0, 20.0), phrase_index=4)
MISSING = said(Verdict.MISSING, reason="the cat")


def curated(
    folder: Path, decisions: list[Decision], below: float = 0.1, **rules: Any
) -> CuratedRecord:
    run = folder_run(folder / "run", [ROW])
    append_decisions(run, decisions)
    policy = FilterPolicy(name="n", score_threshold=0.5, negative_below=below, **rules)
    curate_run(run, policy)
    (record,) = iter_curated(run, policy.policy_id)
    return record


@pytest.mark.parametrize(
    "decisions, below, expected",
    [
        ([], 0.1, ["a cat", "umbrella"]),
        ([], 0.5, ["a cat", "umbrella", "a tree"]),
        ([], 0.0, []),
        # somebody misses a box: nobody knows of which phrase
        ([MISSING], 0.5, []),
        # words that a person marked were never looked for, and are there if anything is
        ([MARKED], 0.1, ["a cat"]),
        ([MARKED, DRAWN], 0.1, ["a cat"]),
    ],
)
def test_exports_and_training_have_the_same_negatives(
    decisions: list[Decision], below: float, expected: list[str], tmp_path: Path
) -> None:
    record = curated(tmp_path, decisions, below)
    places, _ = negative_phrases(record, below)
    assert [record.phrases[place].text for place in places] == expected
    (sample,) = curated_samples([record], Counter(), negative_below=below)
    assert [CAPTION[a:b] for a, b in sample.negative_spans] == expected


OTHER = said(Verdict.ADD, "n/0#new", xyxy=(30.0, 5.0, 44.0, 20.0), phrase_index=3)
RESTORED = said(Verdict.KEEP, "n/0#0")


@pytest.mark.parametrize(
    "decisions, words, expected",
    [
        # the policy drops what it names, so nobody knows whether it is there
        ([], ("cat",), ["umbrella", "a tree"]),
        ([OTHER], ("cat",), ["umbrella"]),
        # a person brings the box of a dropped phrase back
        ([RESTORED], ("dog", "cat"), ["umbrella", "a tree"]),
        ([MISSING], ("cat",), []),
        ([MARKED], ("cat", "tree"), []),
    ],
)
def test_what_a_policy_drops_by_its_words_is_no_negative(
    decisions: list[Decision], words: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    record = curated(tmp_path, decisions, 0.5, drop_words=words, min_boxes=0)
    places, _ = negative_phrases(record, 0.5)
    assert [record.phrases[place].text for place in places] == expected
    (sample,) = curated_samples([record], Counter(), negative_below=0.5)
    assert [CAPTION[a:b] for a, b in sample.negative_spans] == expected
    options = ExportOptions(negative_below=0.5)
    shown = replace(record, image_uri="web/a.png")
    summary = export_records([shown], "goldg", str(tmp_path / "o.json"), options)
    (image,) = json.loads(Path(summary.paths[0]).read_text())["images"]
    assert [CAPTION[a:b] for a, b in image["tokens_negative"]] == expected


def test_what_the_policy_of_one_run_drops_is_no_negative_of_two(tmp_path: Path) -> None:
    dropped = curated(tmp_path / "a", [], drop_words=("cat",))
    assert dropped.phrases[1].status is PhraseStatus.DROPPED
    other = curated(tmp_path / "b", [])
    for both in (united(dropped, other), united(other, dropped)):
        assert [both.phrases[n].text for n in negative_phrases(both, 0.1)[0]] == ["umbrella"]


def test_words_that_have_a_box_elsewhere_are_no_negative(tmp_path: Path) -> None:
    caption = "a hot dog by a dog, the Hot dog and a cold dog"
    phrases = ("a hot dog", "a dog", "the Hot dog", "a cold dog")
    row = make_annotation(
        record_id="n/1",
        caption=caption,
        phrases=tuple(make_phrase(caption, text, best_score=0.01) for text in phrases),
        boxes=(make_box(box_id="n/1#0", phrase_index=0, score=0.9, xyxy=(1.0, 1.0, 20.0, 20.0)),),
    )
    run, policy = folder_run(tmp_path / "run", [row]), FilterPolicy(name="n", score_threshold=0.5)
    curate_run(run, policy)
    (record,) = iter_curated(run, policy.policy_id)
    assert negative_phrases(record, 0.1) == ([1, 3], 1)


def test_what_a_person_doubts_in_one_run_is_no_negative_of_two(tmp_path: Path) -> None:
    doubted = curated(tmp_path / "a", [MISSING])
    assert doubted.phrases[1].status is PhraseStatus.DOUBTED
    assert doubted.phrases[0].status is PhraseStatus.OK, "it has a box"
    sure = curated(tmp_path / "b", [])
    for both in (united(doubted, sure), united(sure, doubted)):
        assert negative_phrases(both, 0.1) == ([], 0)


def test_formats_say_negatives_or_that_they_cannot(tmp_path: Path) -> None:
    record = replace(curated(tmp_path, [MARKED, DRAWN]), image_uri="web/a.png")

    def written(name: str, suffix: str) -> tuple[str, str]:
        summary = export_records([record], name, str(tmp_path / f"o-{name}{suffix}"))
        return Path(summary.paths[0]).read_text(), " ".join(summary.notes)

    text, _ = written("goldg", ".json")
    (image,) = json.loads(text)["images"]
    assert [CAPTION[a:b] for a, b in image["tokens_negative"]] == ["a cat"]
    text, _ = written("lvis", ".json")
    lvis = json.loads(text)
    names = {one["id"]: one["name"] for one in lvis["categories"]}
    (image,) = lvis["images"]
    assert "dog" in [names[place] for place in image["not_exhaustive_category_ids"]]
    assert "dog" not in [names[place] for place in image["neg_category_ids"]]
    assert "negative phrases cannot be said" in written("odvg", ".jsonl")[1]
    assert "labels are not exhaustive" in written("coco", ".json")[1]
