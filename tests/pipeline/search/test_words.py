"""Words and SQL over a run's own Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.run.store import RunStore
from pipeline.search.database import local_files, open_database
from pipeline.search.words import Found, forms, search_words, words_of
from schemas.errors import ConfigError
from schemas.records import Annotation, Status
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.schemas.builders import make_annotation, make_box, make_phrase


def row(number: int, caption: str, *phrases: tuple[str, str, float]) -> Annotation:
    """Each phrase with its head's lemma, and a box of this score (none for 0)."""
    boxes = tuple(
        make_box(box_id=f"p/{number}#{n}", phrase_index=n, score=score)
        for n, (_, _, score) in enumerate(phrases)
        if score
    )
    return make_annotation(
        record_id=f"p/{number}",
        caption=caption,
        phrases=tuple(
            make_phrase(caption, text, head=head, best_score=score) for text, head, score in phrases
        ),
        boxes=boxes,
        status=Status.OK if boxes else Status.NO_BOXES,
    )


RED, BLUE = ("a Red Umbrella", "umbrella", 0.9), ("a blue umbrella", "umbrella", 0.8)
STAND, CAFE = ("an umbrella stand", "stand", 0.0), ("café", "café", 0.0)
FISH = "a redwood umbrellafish"
ROWS = [
    row(0, "a Red Umbrella on a bench", RED, ("a bench", "bench", 0.5)),
    row(1, "two red umbrellas", ("two red umbrellas", "umbrella", 0.7)),
    row(2, "a blue umbrella and a red car", BLUE, ("a red car", "car", 0.6)),
    row(3, "three mice", ("three mice", "mouse", 0.4)),
    row(4, FISH, (FISH, "umbrellafish", 0.3)),
    row(5, "an umbrella stand's café", STAND, CAFE),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    folder = tmp_path_factory.mktemp("it's [a] run")
    run = folder_run(folder, ROWS[:3], more_units=[3])
    commit_rows(run, 1, ROWS[3:])
    return run


def search(run: RunStore, query: str, **options: float) -> Found:
    with local_files(run) as files:
        return search_words(files, query, **options)  # type: ignore[arg-type]


def ids(found: Found) -> list[str]:
    return [hit.row.record_id for hit in found.hits]


@pytest.mark.parametrize(
    "query, wanted",
    [
        ("red umbrella", ["p/0", "p/1"]),
        ("the RED umbrellas", ["p/0", "p/1"]),
        ("umbrella", ["p/0", "p/2", "p/1", "p/5"]),
        ("mouse", ["p/3"]),
        ("mice", ["p/3"]),
        ("café", ["p/5"]),
        ("bench red", []),
        ("umb", []),
        ("100% (un-escaped) [a-z]+ '", []),
    ],
)
def test_every_word_in_any_form_and_whole(run: RunStore, query: str, wanted: list[str]) -> None:
    assert ids(search(run, query)) == wanted


def test_scores_and_counts(run: RunStore) -> None:
    found = search(run, "umbrella", min_score=0.75, limit=1)
    assert (found.pairs, found.phrases, len(found.hits)) == (2, 2, 1)
    assert found.hits[0].box_ids == ("p/0#0",)
    assert found.hits[0].row.record_id == "p/0"
    assert len(found.hits[0].row.boxes) == 2
    assert search(run, "stand").hits[0].box_ids == ()
    assert search(run, "stand", min_score=0.1).hits == ()


def test_no_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="query must hold a word, got 'the  !'"):
        words_of("the  !")


@pytest.mark.parametrize(
    "word, singulars",
    [
        ("berries", ["berry", "berri", "berrie"]),
        ("boxes", ["box", "boxe"]),
        ("glass", []),
        ("s", []),
    ],
)
def test_forms(word: str, singulars: list[str]) -> None:
    assert forms(word) == [word, *singulars]


def test_tables_of_sql(run: RunStore) -> None:
    with open_database(run) as database:
        _, boxes = database.rows(
            "select box_id, phrase, head from boxes order by score desc limit 2"
        )
        assert boxes == [
            ("p/0#0", "a Red Umbrella", "umbrella"),
            ("p/2#0", "a blue umbrella", "umbrella"),
        ]
        names, _ = database.rows("select * from phrases")
        assert names[:3] == ["record_id", "phrase_index", "text"]
        for table in ("pairs", "quarantine", "decisions"):
            database.rows(f"select count(*) from {table}")
        with pytest.raises(ConfigError, match="query: .*nowhere"):
            database.rows("select * from nowhere")


def test_a_run_without_a_usable_pair(tmp_path: Path) -> None:
    run = folder_run(tmp_path, [])
    assert search(run, "umbrella") == Found(pairs=0, phrases=0, hits=())


@pytest.mark.parametrize(
    "query, said",
    [
        ("", r"must be one statement, got 0"),
        ("select '\udcff'", r"query must be UTF-8, got .select '.udcff'"),
        ("-- nothing", r"must be one statement, got 0"),
        ("select 1; drop view boxes", r"must be one statement, got 2"),
        ("copy pairs to '{run}/annotations/u0.parquet'", r"must read .* got COPY: a run is not"),
        ("explain analyze copy (select 1) to '{run}/x.csv'", r"must read .* got COPY"),
        ("EXPLAIN (analyze) copy (select 1) to '{run}/x.csv'", r"must read .* got COPY"),
        ("drop view boxes", r"must read .* got DROP"),
        ("set threads = 1", r"must read .* got SET"),
        ("install httpfs", r"must read .* got LOAD"),
        ("select * from read_csv('/etc/hosts')", r"Cannot access file"),
        ("select * from glob('/etc/*')", r"Cannot access file"),
        ("select * from 'https://example.org/x.parquet'", r"query: "),
        ("select * from read_text('{run}/_plan.json')", r"Cannot access file"),
        ("selec 1", r"query: Parser Error"),
    ],
)
def test_sql_reads_the_run_and_nothing_else(run: RunStore, query: str, said: str) -> None:
    with open_database(run) as database, pytest.raises(ConfigError, match=f"(?s){said}"):
        database.rows(query.format(run=run.uri.replace("'", "''")))


@pytest.mark.parametrize(
    "query",
    [
        *("show tables", "describe boxes", "from pairs", "summarize phrases", "select 1;"),
        *("explain analyze select * from boxes", "pivot pairs on status using count(*)"),
        "with a as (select head from boxes) select head, count(*) from a group by 1 order by 2",
    ],
)
def test_queries_of_every_kind_are_taken(run: RunStore, query: str) -> None:
    with open_database(run) as database:
        assert database.rows(query)[1]


def test_a_run_by_a_relative_path_and_through_a_link(
    run: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linked").symlink_to(run.uri)
    with open_database(RunStore("linked")) as database:
        assert database.rows("select count(*) from pairs")[1] == [(6,)]
    assert ids(search(RunStore("linked"), "mouse")) == ["p/3"]
