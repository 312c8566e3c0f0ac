"""A run's Parquet as tables of DuckDB: nothing is copied, nothing is imported.

    pairs       one row per labelled pair, with its lists of phrases and boxes
    phrases     one row per phrase
    boxes       one row per candidate box, with the words of its phrase
    quarantine  pairs that could not be used, with the reason
    decisions   what people decided
    clip, ...   every layer that the run has; the layer `phrases` is `phrases_layer`

Files on an object store are fetched into a temporary folder first, each compared with its hash.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.layers.store import layers_of
from pipeline.run.commit_protocol import ANNOTATIONS, QUARANTINE, folder_of
from pipeline.run.committed import CommittedUnits
from pipeline.run.store import RunStore
from schemas.arrow_schemas import ANNOTATION_SCHEMA, DECISION_SCHEMA
from schemas.errors import ConfigError, DataError
from schemas.plan import CommittedFile, UnitCommit

TABLES = ("pairs", "quarantine", "phrases", "boxes", "decisions")
_EXPLAIN = re.compile(r"\s*explain\s*(\([^)]*\)|analyze\b)?", re.IGNORECASE)
_BOXES = """
SELECT record_id, b.box_id AS box_id, b.phrase_index AS phrase_index,
       phrases[b.phrase_index + 1].text AS phrase, phrases[b.phrase_index + 1].head AS head,
       b.x0 AS x0, b.y0 AS y0, b.x1 AS x1, b.y1 AS y1,
       b.score AS score, b.token_score AS token_score, b.centerness AS centerness
FROM (SELECT record_id, phrases, unnest(boxes) AS b FROM pairs)
"""
_PHRASES = """
SELECT record_id, place AS phrase_index, p.text AS text, p.head AS head, p.start AS start,
       p.end AS "end", p.status AS status, p.best_score AS best_score
FROM (SELECT record_id, unnest(range(len(phrases))) AS place, unnest(phrases) AS p FROM pairs)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDatabase:
    """Tables over a run.

    connection: of DuckDB, in memory.
    """

    connection: Any

    def rows(
        self, query: str, values: Sequence[Any] = ()
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names of the columns and rows of a query.

        Raises:
            ConfigError: it is not one query, or DuckDB does not take it; its own words.
        """
        import duckdb

        try:
            _check_query(self.connection, query)
            found = self.connection.execute(query, list(values))
            names = [entry[0] for entry in found.description or ()]
            return names, found.fetchall()
        except duckdb.Error as error:
            raise ConfigError(f"query: {str(error).strip()}") from error


@contextmanager
def local_files(run: RunStore) -> Iterator[dict[str, str]]:
    """Local paths of a run's annotations, in the order of the plan, while in the block; and the
    unit of each.

    Raises:
        DataError: a committed file is missing or torn.
    """
    with tempfile.TemporaryDirectory(prefix="glipforge-search-") as folder:
        found = _files(run, list(run.commits().values()), ANNOTATIONS, Path(folder))
        yield {path: commit.unit_id for path, commit in found.items()}


@contextmanager
def open_database(run: RunStore) -> Iterator[RunDatabase]:
    """The tables of a run, while in the block.

    Raises:
        DataError: a committed file is missing or torn.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="glipforge-sql-") as folder:
        # Nothing is fetched behind our back, and a name in a query is a table, never a variable of
        # this program.
        connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            }
        )
        try:
            commits = list(run.commits().values())
            files = _files(run, commits, ANNOTATIONS, Path(folder))
            _table(connection, run, "pairs", list(files), ANNOTATION_SCHEMA)
            kept_out = _files(run, commits, QUARANTINE, Path(folder))
            _table(connection, run, "quarantine", list(kept_out), ANNOTATION_SCHEMA)
            readable = [*files, *kept_out]
            connection.execute(f"CREATE VIEW phrases AS {_PHRASES}")
            connection.execute(f"CREATE VIEW boxes AS {_BOXES}")
            _decisions(connection, run)
            for layer in layers_of(run):
                own = _files(layer, list(layer.commits().values()), "", Path(folder))
                name = layer.kind.name
                name = f"{name}_layer" if name in TABLES else name
                _table(connection, layer, name, list(own), layer.kind.schema())
                readable += own
            _fence(connection, readable, folder)
            yield RunDatabase(connection=connection)
        finally:
            connection.close()


def _files(
    place: CommittedUnits, commits: Sequence[UnitCommit], folder: str, temporary: Path
) -> dict[str, UnitCommit]:
    found: dict[str, UnitCommit] = {}
    for commit in commits:
        for file in commit.files:
            if folder_of(file.path) != folder:
                continue
            if place.is_local:
                path = Path(place.uri).absolute() / file.path
                if not path.is_file() or path.stat().st_size != file.size:
                    place.read_committed(commit, file)  # which says it, or finds it staged
                    path = _fetched(place, commit, file, temporary)
            else:
                path = _fetched(place, commit, file, temporary)
            found[str(path)] = commit
    return found


def _fetched(
    place: CommittedUnits, commit: UnitCommit, file: CommittedFile, temporary: Path
) -> Path:
    target = temporary / place.uri.rpartition("/")[2] / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    data = place.read_committed(commit, file)
    if shutil.disk_usage(temporary).free < 2 * len(data):
        raise DataError(f"{temporary} has no room for a copy of {place.url(file.path)}")
    target.write_bytes(data)
    return target


def _table(
    connection: Any, place: CommittedUnits, name: str, paths: list[str], schema: Any
) -> None:
    import duckdb

    if paths:
        listed = ", ".join(map(_quoted, paths))
        # No globs: a path may hold brackets.
        # By name: a run may have been begun by a version with fewer columns.
        try:
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}], union_by_name=true)"
            )
        except duckdb.Error as error:
            reason = str(error).strip().partition("\n")[0]
            raise DataError(
                f"{place.uri}: {name} cannot be read: {reason}; {place.redo}"
            ) from error
    else:
        connection.register(name, schema.empty_table())


def _fence(connection: Any, readable: Sequence[str], temporary: str) -> None:
    """From here on SQL reads the run's files and no other, and writes none."""
    connection.execute(f"SET temp_directory = {_quoted(temporary)}")  # large sorts spill there
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quoted, readable))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _check_query(connection: Any, query: str) -> None:
    """Refuse what is not one query: COPY could write over the files that may be read."""
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"query must be UTF-8, got {query!r}") from error
    made = connection.extract_statements(query)
    if len(made) != 1:
        raise ConfigError(f"query must be one statement, got {len(made)}")
    kind = made[0].type.name
    if kind == "EXPLAIN":  # ANALYZE runs what it explains
        return _check_query(connection, _EXPLAIN.sub("", made[0].query, count=1))
    if kind not in ("SELECT", "MULTI", "PRAGMA", "CALL"):
        raise ConfigError(
            "query must read (SELECT, FROM, WITH, DESCRIBE, SHOW, SUMMARIZE, PIVOT or EXPLAIN), "
            f"got {kind}: a run is not changed here"
        )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _decisions(connection: Any, run: RunStore) -> None:
    from pipeline.curation.decisions import load_decisions
    from schemas.tables import decisions_to_table

    made = load_decisions(run)
    table = decisions_to_table(made) if made else DECISION_SCHEMA.empty_table()
    connection.register("decisions", table)
