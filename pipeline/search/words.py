"""Search by words: phrases that have every word of a query, in any of its forms.

Three columns are read and nothing else: DuckDB would take every field of a list of phrases.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.storage.parquet_bytes import open_file
from schemas.damage import whole
from schemas.errors import ConfigError
from schemas.records import Annotation
from schemas.tables import table_to_annotations

_WORD = re.compile(r"\w+", re.UNICODE)
ROWS_AT_ONCE = 65_536
"""Pairs of a file that are looked at together: memory does not grow with units."""
MAX_THREADS = 8
_COLUMNS = [f"phrases.list.element.{name}" for name in ("text", "head", "best_score")]
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


def matching(text: pa.Array, head: pa.Array, query: str) -> NDArray[np.int64]:
    """Which phrases have every word of a query, ascending.

    A word is met by the word itself, by its plural, by its singular, and by the head noun's lemma:
    `mouse` finds `three mice`.

    Raises:
        ConfigError: no word in the query.
    """
    text, head = _lower(text), _lower(head)
    found = np.arange(len(text))
    for word in words_of(query):
        last = _with_word(text, head, forms(word))
        # The next word looks only at what is left.
        text, head = text.take(pa.array(last)), head.take(pa.array(last))
        found = found[last]
    return found


def _lower(strings: pa.Array) -> pa.Array:
    # Arrow's rules for all of Unicode take four times as long.
    plain = pc.all(pc.string_is_ascii(strings)).as_py()
    return pc.ascii_lower(strings) if plain else pc.utf8_lower(strings)


def _with_word(text: pa.Array, head: pa.Array, own: list[str]) -> NDArray[np.int64]:
    """Which of some phrases in lower case have a word in one of its forms."""
    lemma = pc.is_in(head, value_set=pa.array(own)).to_numpy(zero_copy_only=False)
    part = np.zeros(len(text), dtype=bool)
    for form in own:
        part |= pc.match_substring(text, form).to_numpy(zero_copy_only=False)
    maybe = np.flatnonzero(part & ~lemma)  # few: only they are looked at as words
    either = "|".join(re.escape(form) for form in own)
    pattern = rf"(^|[^\pL\pN_])({either})(s|es)?($|[^\pL\pN_])"
    whole = pc.match_substring_regex(text.take(pa.array(maybe)), pattern)
    return np.union1d(np.flatnonzero(lemma), maybe[whole.to_numpy(zero_copy_only=False)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFile:
    """The phrases of one file that have the words."""

    pairs: int
    phrases: int
    best: list[tuple[float, int, int]]
    """Score with its sign turned, row, phrase of the row: the first of the wanted order."""
    rows: NDArray[np.int64]
    """Of the pairs that they belong to, ascending."""


def _search_file(path: str, query: str, min_score: float, limit: int) -> _InFile:
    best: list[tuple[float, int, int]] = []
    rows: list[NDArray[np.int64]] = []
    first = phrases = 0
    with whole(path, "glipforge validate RUN says what is damaged"), open_file(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=_COLUMNS, use_threads=False):
            lists = batch.column("phrases")
            values = lists.flatten()
            scores = values.field("best_score").to_numpy().astype(np.float64)
            found = matching(values.field("text"), values.field("head"), query)
            if min_score > 0:
                found = found[scores[found] > min_score]
            starts = lists.offsets.to_numpy().astype(np.int64)
            starts -= starts[0]
            row = np.searchsorted(starts, found, side="right") - 1
            order = np.lexsort((found, -scores[found]))[:limit]
            chosen = zip(
                (-scores[found[order]]).tolist(),
                (first + row[order]).tolist(),
                (found[order] - starts[row[order]]).tolist(),
                strict=True,
            )
            best = sorted([*best, *chosen])[:limit]
            phrases += len(found)
            rows.append(first + np.unique(row))
            first += batch.num_rows
    own = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    return _InFile(pairs=len(own), phrases=phrases, best=best, rows=own)


def _search_files(
    files: Collection[str], query: str, min_score: float, limit: int
) -> list[tuple[str, _InFile]]:
    words_of(query)  # which refuses a query without words before a file is read
    with _pool() as pool:
        found = pool.map(lambda path: _search_file(path, query, min_score, limit), files)
        return list(zip(files, found, strict=True))


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), MAX_THREADS))


def search_words(
    files: Collection[str], query: str, *, min_score: float = 0.0, limit: int = 50
) -> Found:
    """Phrases with every word of the query and a box above `min_score`, the best box first.

    Args:
        files: local paths of a run's annotations, see `local_files`.
        query: words.
        min_score: of the teacher.
        limit: at most so many hits; all are counted.

    Raises:
        ConfigError: no word in the query.
        DataError: a file is damaged.
    """
    found = _search_files(files, query, min_score, limit)
    ranked = sorted(
        (score, path, row, place) for path, own in found for score, row, place in own.best
    )[:limit]
    read = read_rows([(path, row) for _, path, row, _ in ranked])
    hits = tuple(
        phrase_hit(read[path, row], place, -score, min_score) for score, path, row, place in ranked
    )
    return Found(
        phrases=sum(own.phrases for _, own in found),
        pairs=sum(own.pairs for _, own in found),
        hits=hits,
    )


def pairs_with(files: Collection[str], query: str) -> frozenset[str]:
    """Ids of the pairs with a phrase that has every word of the query.

    Raises:
        ConfigError, DataError: as `search_words`.
    """
    ids: set[str] = set()
    for path, own in _search_files(files, query, 0.0, 0):
        if own.pairs:
            with open_file(path) as file:
                column = file.read(columns=["record_id"], use_threads=False).column(0)
            ids.update(column.take(pa.array(own.rows)).to_pylist())
    return frozenset(ids)


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
    with _pool() as pool:
        for part in pool.map(lambda item: _rows_of_file(*item), wanted.items()):
            found |= part
    return found


def _rows_of_file(path: str, numbers: Sequence[int]) -> dict[tuple[str, int], Annotation]:
    found: dict[tuple[str, int], Annotation] = {}
    with open_file(path) as parquet:
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
