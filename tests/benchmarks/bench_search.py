"""How long a search takes over a run of a million pairs, against a bare scan of the captions.

    python -m tests.benchmarks.bench_search --rows 1000000

The run is `bench_filter`'s: four phrases and about 52 candidates a pair. `words` is `glipforge
search RUN "wordb27"` from the open run to the hits with their boxes; `sql` counts the boxes over a
score by head noun; `scan` is pyarrow reading the phrases and no more. Wall seconds, the best of
`--repeat`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.run.columns import leaf_columns
from pipeline.run.store import RunStore
from pipeline.search.database import open_database
from pipeline.search.words import search_words
from tests.benchmarks.bench_filter import write_run

COUNT = "select head, count(*) from boxes where score > 0.5 group by 1 order by 2 desc limit 20"


def best(call: Callable[[], object], repeat: int) -> float:
    """The shortest of some calls, in seconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> int:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rows-per-unit", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--run", type=Path, help="a run that an earlier call has made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.run or Path(folder) / "run"
        if not place.is_dir():
            write_run(place, options.rows, options.rows_per_unit)
        run = RunStore(str(place))
        run.commits()

        def words() -> int:
            with open_database(run) as database:
                return search_words(database, "wordb27", min_score=0.1).phrases

        def sql() -> object:
            with open_database(run) as database:
                return database.rows(COUNT)

        def scan() -> None:
            for commit in run.commits().values():
                for file in commit.files:
                    with pq.ParquetFile(run.url(file.path)) as parquet:
                        names = leaf_columns(parquet, ("phrases.text", "phrases.head"))
                        parquet.read(columns=names)

        scanned = best(scan, options.repeat)
        found = {"rows": options.rows, "hits": words(), "scan_s": round(scanned, 2)}
        for name, call in (("words", words), ("sql", sql)):
            spent = best(call, options.repeat)
            found |= {f"{name}_s": round(spent, 2), f"{name}_of_scan": round(spent / scanned, 2)}
        print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
