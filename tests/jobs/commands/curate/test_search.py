"""`search`, `sql` and `leakage` as a user types them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.cli import main
from pipeline.curation.decisions import append_decisions
from pipeline.run.store import RunStore
from schemas.records import Verdict
from tests.model.scorers.tiny_scorers import write_scorer
from tests.pipeline.folder_run import folder_run
from tests.pipeline.layers.runs import draw, drawn_row, drawn_run
from tests.schemas.builders import make_decision, make_phrase


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    return drawn_run(tmp_path)


def test_search_prints_a_table(run: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", run.uri, "red boxes", "--limit", "2"]) == 0
    out = capsys.readouterr().out
    assert "6 phrases in 6 pairs; the best 2:" in out
    assert "a red box" in out
    assert main(["search", run.uri, "zebra"]) == 0
    assert "nothing was found" in capsys.readouterr().out


def test_a_caption_cannot_write_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "a \x1b[31mred\x9b2J box[/red]"
    row = replace(
        drawn_row(tmp_path, 0),
        record_id="toy/\x1b]0;owned\x07",
        caption=hostile,
        image_uri="https://me:secret@host/0.png",
        phrases=(
            make_phrase(hostile, hostile, head="box[/red]\x1b[2J", best_score=0.9),
            make_phrase(hostile, "a", head="a\x9b2J", best_score=0.8),
        ),
    )
    run = folder_run(tmp_path / "run", [row]).uri
    for words in (
        ["search", run, "red"],
        ["sql", run, "select record_id, caption, image_uri from pairs"],
        ["queue", run],
        ["compare", run, run],
    ):
        assert main(words) == 0, words
        said = capsys.readouterr().out
        assert not {"\x1b", "\x9b", "\x07"} & set(said), words
        assert "secret" not in said


def test_search_as_json_and_as_a_sheet(
    run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "found.jpg"
    words = ["blue", "--min-score", "0.5", "--json", "--sheet", str(sheet)]
    assert main(["search", run.uri, *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["phrases"]) == (6, 6)
    assert found["hits"][0]["boxes"][0]["xyxy"] == [36.0, 10.0, 60.0, 40.0]
    assert Image.open(sheet).width > 320


def test_search_by_likeness(
    run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(write_scorer("clip", tmp_path / "clip"))
    with_both = ["--with", "embeddings,region-embeddings", "--model", clip]
    assert main(["enrich", run.uri, *with_both, "--runner", "local"]) == 0
    capsys.readouterr()
    image = str(tmp_path / "images" / "3.png")
    assert main(["search", run.uri, "--like", image, "--model", clip, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hits"][0]["record_id"] == "toy/3"
    assert found["hits"][0]["score"] == pytest.approx(1, abs=1e-4)
    assert main(["search", run.uri, "blue", "--like", "toy/1#1", "--limit", "3"]) == 0
    assert "cosine" in capsys.readouterr().out
    other = str(write_scorer("clip", tmp_path / "other", seed=5))
    assert main(["search", run.uri, "--like", image, "--model", other]) == 2
    assert "vectors of two models cannot be compared" in capsys.readouterr().err
    assert main(["search", run.uri, "--like", image]) == 2
    assert "--model: --like IMAGE needs the model that made the layer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "--like IMAGE"),
        (("a the",), "query must hold a word"),
        (("red", "--limit", "0"), "--limit must be at least 1"),
        (("red", "--min-score", "2"), "--min-score must be in [0, 1]"),
        (("red", "--sheet", "x.pdf"), "--sheet must end in .jpg"),
        (("--like", "nowhere.jpg"), "is not an image file, and not a pair or box of this run"),
        (("--like", "toy/0"), "no layer 'embeddings'"),
        (("zebra", "--sheet", "x.jpg"), "nothing was found"),
    ],
)
def test_wrong_searches_are_sentences(
    run: RunStore, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", run.uri, *words]) == 2
    assert said in capsys.readouterr().err


def test_sql(run: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    query = "select head, count(*) as n, avg(score) as mean from boxes group by 1"
    assert main(["sql", run.uri, query]) == 0
    out = capsys.readouterr().out
    assert "head" in out
    assert "0.85" in out
    assert main(["sql", run.uri, query, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row == {"head": "box", "n": 10, "mean": pytest.approx(0.85)}
    assert main(["sql", run.uri, query, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "head,n,mean"
    assert main(["sql", run.uri, "selekt"]) == 2
    assert "glipforge sql: " in capsys.readouterr().err


def test_the_layer_phrases_stands_beside_the_table(
    run: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["enrich", run.uri, "--with", "phrases", "--runner", "local"]) == 0
    capsys.readouterr()
    query = "select count(*) as rows, sum(len(entities)) as phrases from phrases_layer"
    assert main(["sql", run.uri, query, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert main(["sql", run.uri, "select count(*) as phrases from phrases", "--json"]) == 0
    assert row["phrases"] == json.loads(capsys.readouterr().out)["phrases"] > 0


def test_rows_of_sql_are_json(run: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    query = (
        "select 1 as n, 2 as n, 3 as n_1, score / 0 as far, 'nan'::float as none, 1.5 as half, "
        "map {date '2026-01-02': 1.0 / 0} as m, {'a': [0.0 / 0]} as deep, date '2026-01-02' as day "
        "from boxes limit 1"
    )
    assert main(["sql", run.uri, query, "--json"]) == 0

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    row = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert row == {
        **{"n": 1, "n_1": 2, "n_1_1": 3, "far": None, "none": None, "half": 1.5},
        **{"m": {"2026-01-02": None}, "deep": {"a": [None]}, "day": "2026-01-02"},
    }


def test_a_missing_layer_names_the_command_that_makes_it(
    run: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = next(iter(run.commits().values()))
    row = run.read_rows(commit, commit.files[0])[0]
    assert main(["search", run.uri, "--like", row.boxes[0].box_id]) == 2
    assert "--with region-embeddings` makes it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["annotations", "commits", "run", "connection", "sys"])
def test_a_name_that_is_no_table_is_never_a_variable(
    run: RunStore, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["sql", run.uri, f"select * from {name}"]) == 2
    assert f"Table with name {name} does not exist" in capsys.readouterr().err


def test_sql_reads_layers(run: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enrich", run.uri, "--with", "duplicates", "--runner", "local"]) == 0
    capsys.readouterr()
    assert main(["sql", run.uri, "select count(distinct dhash) n from duplicates", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"n": 6}


def test_leaks_are_found_and_left_out(
    run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_set = tmp_path / "test"
    draw(test_set / "new.png", seed=90)
    (test_set / "copy.png").write_bytes((tmp_path / "images" / "0.png").read_bytes())
    Image.open(tmp_path / "images" / "2.png").resize((96, 72)).save(test_set / "small.jpg")
    out = tmp_path / "labels.json"
    words = ["export", run.uri, "--policy", "glip", "--without-leaks", "--out", str(out)]
    assert main(words) == 2
    assert "was not compared with a test set" in capsys.readouterr().err
    assert main(["leakage", run.uri, "--against", str(test_set)]) == 0
    shown = capsys.readouterr().out
    assert "exact    1 pairs" in shown
    assert "near     1 pairs" in shown
    assert "toy/0" in shown
    assert "--without-leaks" in shown
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "left out: 2 x pair whose image is in a test set (glipforge leakage)" in shown
    assert "0.png" not in out.read_text()
    assert main(["leakage", run.uri, "--against", str(test_set), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["leaks"]) == 2


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "--against must name a folder"),
        (("--against", "nowhere"), "--against must be a folder of images or a COCO file"),
        (("--against", ".", "--max-distance", "16"), "--max-distance must be in [0, 15]"),
    ],
)
def test_wrong_leakage_is_a_sentence(
    run: RunStore, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leakage", run.uri, *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.fiftyone
def test_what_was_found_is_shown_in_fiftyone(
    run: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.review.database.server import open_database
    from pipeline.review.home import database_name, review_home
    from pipeline.review.sync.store.mongo_store import get_dataset, open_store

    kept = {"verdict": Verdict.KEEP, "xyxy": None, "phrase_index": None}
    judged = [
        make_decision(decision_id=f"d{n}", record_id=f"toy/{n}", box_id=f"toy/{n}#1", **kept)
        for n in (0, 1, 2, 3, 5)
    ]
    append_decisions(run, judged)  # what is no hit stays out, judged or not
    home = tmp_path / "home"
    words = ["blue", "--min-score", "0.5", "--limit", "3", "--push", "--dataset", "blue"]
    assert main(["search", run.uri, *words, "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert "dataset blue: 3 pairs added" in said
    assert said.count("--dataset blue") == 1
    with (
        open_database(review_home(home)) as database,
        open_store(database.uri, database_name()) as store,
    ):
        samples = list(get_dataset(store, "blue").samples.find({}))
    assert len(samples) == 3
    assert [len(sample["boxes"]["detections"]) for sample in samples] == [1, 1, 1]
