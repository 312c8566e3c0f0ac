"""Ask a run in SQL, by DuckDB over its own Parquet files; nothing is imported, no label is changed.

Tables: pairs, phrases, boxes, quarantine, decisions, and every layer of the run (clip,
clip_image, ...). docs/search.md lists their columns.
"""

from __future__ import annotations

import csv
import json as json_module
import math
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import tyro

from jobs.arguments import Run
from jobs.safe_output import data_of
from schemas.errors import ConfigError
from schemas.redaction import shown

EXAMPLES = (
    'glipforge sql runs/1 "select head, count(*) n from boxes where score > 0.5 group by 1"',
)
SHOWN_ROWS = 1_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge sql`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    query: tyro.conf.Positional[str]
    """A query of DuckDB's SQL; `show tables` and `describe boxes` tell what there is."""
    format: Literal["table", "json", "csv"] = "table"
    """A table of the first 1,000 rows, or all rows as JSON lines or CSV."""
    json: bool = False
    """The same as --format json."""


def run(config: Config) -> int:
    """Print the rows of the query; returns 0."""
    from pipeline.run.open import open_run
    from pipeline.search.database import open_database

    if config.json and config.format not in ("table", "json"):
        raise ConfigError(f"give json or format {config.format}, not both")
    labelled = open_run(config.run)
    with open_database(labelled) as database:
        names, rows = database.rows(config.query)
    if config.json or config.format == "json":
        keys = _apart(names)
        for row in rows:
            print(json_module.dumps(_plain(dict(zip(keys, row, strict=True))), default=str))
    elif config.format == "csv":
        writer = csv.writer(data_of(sys.stdout), lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        _print(names, rows)
    return 0


def _apart(names: list[str]) -> list[str]:
    """The names, each once: the second `score` is `score_1`, so that JSON keeps both."""
    found: list[str] = []
    for name in names:
        number, own = 0, name
        while own in found:
            number += 1
            own = f"{name}_{number}"
        found.append(own)
    return found


def _plain(value: Any) -> Any:
    """A value of DuckDB as JSON has it: no NaN, no infinite number, no key but text."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(escape(name))
    for row in rows[:SHOWN_ROWS]:
        table.add_row(*(escape(shown(_cell(value))) for value in row))
    console = Console()
    console.print(table, soft_wrap=True)
    if len(rows) > SHOWN_ROWS:
        console.print(f"{len(rows):,} rows; --format csv prints all", markup=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
