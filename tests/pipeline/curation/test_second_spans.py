"""Named entities that go, and second spans that boxes carry, by the layer `phrases`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.curation.curate import curate_run, iter_curated
from pipeline.curation.rules.filters import filter_rows
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import get_policy
from pipeline.curation.second_spans import endings, ends_on_noun, with_second_spans
from pipeline.layers.columns import PhraseReadings
from pipeline.layers.phrase_layer import phrase_rows
from pipeline.layers.store import LayerStore
from pipeline.phrases.readings import Reading
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.layer import KINDS, Layer
from schemas.records import CuratedBox, CuratedRecord, Phrase, Span
from schemas.tables import curated_to_table, table_to_curated
from tests.pipeline.curation.second_spans_by_row import widened
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_annotation, make_box, make_curated

CAPTION = "a red sports car by Ada Lovelace in the rain"
CAR, ADA = (0, 16), (20, 32)
PLACES = ((0.0, 1.0, 9.0, 9.0), (20.0, 1.0, 29.0, 9.0))
EVERYTHING = FilterPolicy(name="all")


class SaidReader:
    """Knows Ada, and what hangs on the car."""

    def fingerprint(self) -> Mapping[str, Any]:
        return {"reader": "said"}

    def read(
        self, captions: Sequence[str], phrases: Sequence[Sequence[Span]]
    ) -> list[list[Reading]]:
        if any("broken" in caption for caption in captions):
            raise ValueError("a broken caption")
        said = {CAR: Reading(expression=(0, 44)), ADA: Reading(entity="PERSON")}
        return [[said.get(tuple(span), Reading()) for span in own] for own in phrases]


def labelled(folder: Path, *captions: str) -> RunStore:
    phrases = (
        Phrase(text=CAPTION[slice(*CAR)], start=0, end=16, head="car"),
        Phrase(text=CAPTION[slice(*ADA)], start=20, end=32, head="lovelace"),
    )
    rows = [
        make_annotation(
            record_id=f"r/{number}",
            caption=caption,
            phrases=phrases,
            boxes=tuple(
                make_box(
                    box_id=f"r/{number}#{n}",
                    phrase_index=n,
                    xyxy=(n * 20.0, 1.0, 9.0 + n * 20, 9.0),
                )
                for n in range(2)
            ),
        )
        for number, caption in enumerate(captions)
    ]
    return folder_run(folder, rows)


def read_layer(run: RunStore) -> None:
    store = LayerStore(run, "phrases")
    kind = KINDS["phrases"]
    store.define(
        Layer(
            name="phrases",
            key=kind.key,
            columns=tuple(column.name for column in kind.columns),
            run_plan=run.plan_id(),
            maker=SaidReader().fingerprint(),
        )
    )
    for commit in run.commits().values():
        store.commit(commit, phrase_rows(list(run.iter_annotations()), SaidReader()), {})


def curated(run: RunStore, policy: FilterPolicy) -> list[dict[str, list[str]]]:
    """For each pair box -> texts of its phrases."""
    curate_run(run, policy)
    return [
        {box.box_id: [record.phrases[n].text for n in box.phrase_indices] for box in record.boxes}
        for record in iter_curated(run, policy.policy_id)
    ]


def test_named_entities_go_by_class_and_are_counted(tmp_path: Path) -> None:
    run = labelled(tmp_path / "run", CAPTION, CAPTION + " broken")
    read_layer(run)
    policy = FilterPolicy(name="nobody", drop_entities=("PERSON", "GPE"))
    # Of a caption that could not be read nothing is known, so nothing of it goes.
    assert [sorted(own) for own in curated(run, policy)] == [["r/0#0"], ["r/1#0", "r/1#1"]]
    stats = curate_run(run, policy)
    assert stats.drops.boxes_dropped == {"phrase: named entity of a class to drop": 1}
    assert stats.layers_id.startswith("phrases@")
    assert curated(run, replace(policy, drop_entities=("ORG",)))[0].keys() == {"r/0#0", "r/0#1"}


def test_expressions_and_ngrams_are_second_spans(tmp_path: Path) -> None:
    run = labelled(tmp_path / "run", CAPTION)
    read_layer(run)
    both = FilterPolicy(name="both", second_spans=("expressions", "ngrams"))
    assert curated(run, both) == [
        {
            "r/0#0": ["a red sports car", CAPTION, "red sports car", "sports car", "car"],
            "r/0#1": ["Ada Lovelace", "Lovelace"],
        }
    ]
    assert curate_run(run, both).second_spans == 5
    grit = curated(run, replace(get_policy("grit-expressions"), score_threshold=0.1))
    assert grit[0]["r/0#0"] == ["a red sports car", CAPTION]
    assert curate_run(run, EVERYTHING).second_spans == 0


def test_ngrams_need_no_layer(tmp_path: Path) -> None:
    run = labelled(tmp_path / "run", CAPTION)
    own = curated(run, FilterPolicy(name="ngrams", second_spans=("ngrams",)))
    assert own[0]["r/0#0"] == ["a red sports car", "red sports car", "sports car", "car"]


@pytest.mark.parametrize(
    "text, found",
    [
        ("car", []),
        ("the car", ["car"]),
        ("a  red car", ["red car", "car"]),
        ("all the cars", ["cars"]),  # no ending begins with an article
        ("a b c d e f g h i j k l", [" ".join("cdefghijkl"[n:]) for n in range(10)]),  # ten words
    ],
)
def test_endings(text: str, found: list[str]) -> None:
    assert [text[start:] for start in endings(text)] == found


def test_without_the_layer_it_is_said(tmp_path: Path) -> None:
    run = labelled(tmp_path / "run", CAPTION)
    policy = FilterPolicy(name="nobody", drop_entities=("PERSON",))
    with pytest.raises(ConfigError, match=r"has no layer 'phrases'; `glipforge enrich .* --with"):
        curate_run(run, policy)
    with pytest.raises(ConfigError, match=r"drops named entities .* RUN --with phrases` makes"):
        filter_rows([make_annotation()], policy)
    with pytest.raises(ConfigError, match=r"drop_entities"):
        FilterPolicy(name="x", drop_entities=("CAT",))


WORDS = [
    "a",
    "The",
    "red",
    "car",
    "café",
    "oxen",
    "ox",
    "CAR",
    "x",
    "1990s,",
    "İstanbul",
    " ",
    "no",
]
"""Words of one, two and three letters, articles, letters that grow in lower case, blanks."""


@st.composite
def spans(draw: Any, length: int) -> Span:
    start = draw(st.integers(0, length - 1))
    return start, draw(st.integers(start + 1, length))


@st.composite
def records(draw: Any) -> tuple[CuratedRecord, list[Span | None] | None]:
    """A curated record and the expressions of its phrases; None: its caption was not read."""
    caption = draw(st.sampled_from([" ", "  ", "\t"])).join(
        draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14))
    )
    heads = st.sampled_from(["", "car", "café", "ox", "o", "i̇stanbul", "the"])
    found = draw(st.lists(st.tuples(spans(len(caption)), heads), min_size=1, max_size=4))
    phrases = tuple(Phrase(text=caption[a:b], start=a, end=b, head=head) for (a, b), head in found)
    number = st.integers(0, len(phrases) - 1)
    carried = draw(st.lists(st.lists(number, min_size=1, max_size=3, unique=True), max_size=4))
    boxes = tuple(
        CuratedBox(
            box_id=f"r#{n}",
            xyxy=(1.0, 2.0, 3.0, 4.0),
            phrase_indices=tuple(own),
            score=0.5,
            origin="teacher",
        )
        for n, own in enumerate(carried)
    )
    known = st.lists(st.none() | spans(len(caption)), max_size=len(phrases))
    record = make_curated(caption=caption, phrases=phrases, boxes=boxes)
    return record, draw(st.none() | known)


@settings(max_examples=150, deadline=None)
@given(st.lists(records(), max_size=4), st.sampled_from(["ngrams", "expressions", "both"]))
def test_columns_say_what_one_row_after_the_other_says(
    drawn: list[tuple[CuratedRecord, list[Span | None] | None]], which: str
) -> None:
    rows = [replace(row, record_id=f"r/{n}") for n, (row, _) in enumerate(drawn)]
    read = [expressions for _, expressions in drawn]
    lists = pa.list_(pa.int32())
    starts, ends = (
        [None if own is None else [-1 if s is None else s[side] for s in own] for own in read]
        for side in (0, 1)
    )
    readings = PhraseReadings(
        keys=pa.array([row.record_id for row in rows], pa.string()),
        entities=pa.array([None] * len(rows), pa.list_(pa.string())),
        starts=pa.array(starts, lists),
        ends=pa.array(ends, lists),
    )
    kinds = ("expressions", "ngrams") if which == "both" else (which,)
    policy = FilterPolicy(name="any", second_spans=kinds)  # type: ignore[arg-type]
    table, added = with_second_spans(curated_to_table(rows), policy, readings)
    wanted = [
        widened(
            row,
            (own or []) if "expressions" in kinds else [],
            ngrams="ngrams" in kinds,
        )
        for row, own in zip(rows, read, strict=True)
    ]
    assert table_to_curated(table) == wanted
    assert table.equals(curated_to_table(wanted))
    assert added == sum(len(w.phrases) - len(r.phrases) for w, r in zip(wanted, rows, strict=True))


def test_heads_of_any_length_are_compared_alike() -> None:
    texts = ["red ox", "a red Oxen", "two  oxen", "the café", "a by ox", "ox"]
    heads = ["", "o", "ox", "oxe", "oxen", "caf", "café", "x"]
    rows = [
        make_curated(
            record_id=f"r/{text}/{head}",
            caption=text,
            phrases=(Phrase(text=text, start=0, end=len(text), head=head),),
            boxes=(replace(make_curated().boxes[0], phrase_indices=(0,)),),
        )
        for text in texts
        for head in heads
    ]
    policy = FilterPolicy(name="any", second_spans=("ngrams",))
    table, _ = with_second_spans(curated_to_table(rows), policy, None)
    assert table_to_curated(table) == [widened(row, [], ngrams=True) for row in rows]


def test_a_blank_phrase_ends_on_no_noun() -> None:
    assert not ends_on_noun(" ", "car")
    assert ends_on_noun("the Cars", "car")
    assert ends_on_noun("anything", "")
