"""Search by words: phrases that have every word of a query, in any of its forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline.search.database import RunDatabase
from schemas.errors import ConfigError
from schemas.records import Annotation
from schemas.tables import table_to_annotations

_WORD = re.compile(r"\w+", re.UNICODE)
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseHit:
    """A phrase that was found, and its pair."""

    row: Annotation
    phrase_index: int
    score: float
    """The best of the phrase's boxes; or the cosine of a search by likeness."""
    box_ids: tuple[str, ...]
    """The boxes that are meant, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found; `hits` are the best ones."""

    pairs: int
    phrases: int
    hits: tuple[PhraseHit, ...]


def forms(word: str) -> list[str]:
    """A word and the singulars that it may be a plural of: `umbrellas`, `umbrella`."""
    found = [word]
    if len(word) > 3 and word.endswith("ies"):
        found.append(word[:-3] + "y")
    if len(word) > 3 and word.endswith("es"):
        found.append(word[:-2])
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        found.append(word[:-1])
    return found


def words_of(query: str) -> list[str]:
    """The words that are looked for, in lower case, without articles.

    Raises:
        ConfigError: there are none.
    """
    found = [word for word in _WORD.findall(query.lower()) if word not in _ARTICLES]
    if not found:
        raise ConfigError(f"query must hold a word, got {query!r}")
    return found


def condition(query: str) -> tuple[str, list[str]]:
    """SQL over `p.text` and `p.head` that is true for a phrase that has every word; its values.

    A word is met by the word itself, by its plural, by its singular, and by the head noun's lemma:
    `mouse` finds `three mice`.
    """
    clauses: list[str] = []
    values: list[str] = []
    for word in words_of(query):
        own = forms(word)
        text = " OR ".join("contains(lower(p.text), ?)" for _ in own)
        either = "|".join(re.escape(form) for form in own)
        heads = ", ".join("?" for _ in own)
        clauses.append(
            f"(lower(p.head) IN ({heads}) OR (({text}) AND regexp_matches(lower(p.text), ?)))"
        )
        values += [*own, *own, rf"(^|[^\pL\pN_])({either})(s|es)?($|[^\pL\pN_])"]
    return " AND ".join(clauses), values


def may_have(query: str) -> tuple[str, list[str]]:
    """SQL over `caption` and `phrases` that is true for every pair with such a phrase, and for few
    others: most pairs need not be taken apart."""
    clauses: list[str] = []
    values: list[str] = []
    for word in words_of(query):
        own = forms(word)
        text = " OR ".join("contains(lower(caption), ?)" for _ in own)
        heads = ", ".join("?" for _ in own)
        lemmas = "list_transform(phrases, lambda p: lower(p.head))"
        clauses.append(f"({text} OR list_has_any({lemmas}, [{heads}]))")
        values += [*own, *own]
    return " AND ".join(clauses), values


def search_words(
    database: RunDatabase, query: str, *, min_score: float = 0.0, limit: int = 50
) -> Found:
    """Phrases with every word of the query and a box above `min_score`, the best box first.

    Raises:
        ConfigError: no word in the query.
    """
    if not database.files:
        return Found(pairs=0, phrases=0, hits=())
    where, values = condition(query)
    first, first_values = may_have(query)
    listed = ", ".join("?" for _ in database.files)
    matched = f"""
        WITH found AS MATERIALIZED (
            SELECT filename, file_row_number AS row, place, p.best_score AS score FROM (
                SELECT filename, file_row_number, unnest(range(len(phrases))) AS place,
                       unnest(phrases) AS p
                FROM read_parquet([{listed}], filename = true, file_row_number = true)
                WHERE {first}
            ) WHERE {where} AND p.best_score > ?
        )
        SELECT filename, row, place, score, count(*) OVER () AS phrases,
               (SELECT count(DISTINCT (filename, row)) FROM found) AS pairs
        FROM found ORDER BY score DESC, filename, row, place LIMIT ?
    """
    floor = min_score if min_score > 0 else -1.0
    _, rows = database.rows(matched, [*database.files, *first_values, *values, floor, limit])
    read = read_rows([(str(row[0]), int(row[1])) for row in rows])
    hits = tuple(
        phrase_hit(read[str(path), int(place)], int(phrase), float(score), min_score)
        for path, place, phrase, score, *_ in rows
    )
    counts = rows[0][4:6] if rows else (0, 0)
    return Found(phrases=int(counts[0]), pairs=int(counts[1]), hits=hits)


def phrase_hit(row: Annotation, phrase_index: int, score: float, min_score: float) -> PhraseHit:
    """A phrase with its boxes above a score."""
    own = [box for box in row.boxes if box.phrase_index == phrase_index and box.score > min_score]
    own.sort(key=lambda box: -box.score)
    return PhraseHit(
        row=row, phrase_index=phrase_index, score=score, box_ids=tuple(box.box_id for box in own)
    )


def read_rows(places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Annotation]:
    """Checked rows by file and number; only the row groups that hold them are read."""
    wanted: dict[str, list[int]] = {}
    for path, number in dict.fromkeys(places):
        wanted.setdefault(path, []).append(number)
    found: dict[tuple[str, int], Annotation] = {}
    for path, numbers in wanted.items():
        with pq.ParquetFile(path) as parquet:
            first = 0
            for group in range(parquet.num_row_groups):
                size = parquet.metadata.row_group(group).num_rows
                own = [number for number in numbers if first <= number < first + size]
                if own:
                    table = parquet.read_row_group(group, use_threads=False)
                    rows = table_to_annotations(table.take([number - first for number in own]))
                    found |= {(path, n): row for n, row in zip(own, rows, strict=True)}
                first += size
    return found
