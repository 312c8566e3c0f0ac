"""How long a search takes over a run of a million pairs, against a bare scan of the captions.

    python -m tests.benchmarks.bench_search --rows 1000000

The run is `bench_filter`'s: four phrases and about 52 candidates a pair, and a vector of `--dim`
numbers for each pair. `words` is `glipforge search RUN "wordb27"` from the open run to the hits
with their boxes, `like` the same for `--like PAIR`, `sql_phrases` and `sql_boxes` count phrases and
boxes by head noun; `scan` is pyarrow reading the phrases and no more. Seconds on the clock, the
best of `--repeat`, and of the first call; CPU seconds, which other programs lengthen less.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.layers.store import LayerRows, LayerStore
from pipeline.run.columns import leaf_columns, unit_tables
from pipeline.run.store import RunStore
from pipeline.search.database import local_files, open_database
from pipeline.search.likeness import IMAGES, search_like, stored_vector
from pipeline.search.words import search_words
from schemas.layer import KINDS, Layer
from tests.benchmarks.bench_filter import write_run

COUNT = "select head, count(*) from {} where {} > 0.5 group by 1 order by 2 desc limit 20"


def seconds(call: Callable[[], object], repeat: int) -> tuple[float, float, float]:
    """The shortest of some calls, the first, and the least CPU."""
    times, spent = [], []
    for _ in range(repeat):
        began, cpu = time.perf_counter(), time.process_time()
        call()
        times.append(time.perf_counter() - began)
        spent.append(time.process_time() - cpu)
    return min(times), times[0], min(spent)


def write_vectors(run: RunStore, dim: int) -> None:
    """A layer `embeddings` of drawn vectors, where the run has none."""
    store, kind, rng = LayerStore(run, IMAGES), KINDS[IMAGES], np.random.default_rng(0)
    store.define(
        Layer(
            name=IMAGES,
            key=kind.key,
            columns=tuple(column.name for column in kind.columns),
            run_plan=run.plan_id(),
            maker={"model": "drawn"},
        )
    )
    for source in store.pending():
        tables = list(unit_tables(run, source, ("record_id",)))
        ids = pa.concat_tables(tables).column("record_id").combine_chunks()
        vectors = rng.standard_normal((len(ids), dim), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ends = np.arange(0, (len(ids) + 1) * dim, dim, dtype=np.int32)
        said = [pa.repeat(pa.scalar(text), len(ids)) for text in ("ok", "")]
        columns = [ids, *said, pa.ListArray.from_arrays(ends, vectors.ravel())]
        arrays = [c.cast(f.type) for c, f in zip(columns, kind.schema(), strict=True)]
        table = pa.Table.from_arrays(arrays, schema=kind.schema())
        store.commit(source, LayerRows(table=table, statuses={"ok": len(ids)}, examples={}), {})


def main() -> int:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rows-per-unit", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--run", type=Path, help="a run that an earlier call has made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.run or Path(folder) / "run"
        if not place.is_dir():
            write_run(place, options.rows, options.rows_per_unit)
        run = RunStore(str(place))
        write_vectors(run, options.dim)
        first = next(unit_tables(run, next(iter(run.commits().values())), ("record_id",)))
        key = first.column(0)[0].as_py()

        def words() -> int:
            with local_files(run) as files:
                return search_words(files, "wordb27", min_score=0.1).phrases

        def like() -> int:
            layer, vector = stored_vector(run, key)  # type: ignore[misc]
            with local_files(run) as files:
                return len(search_like(run, layer, vector, files=files).hits)

        def sql(table: str, score: str) -> object:
            with open_database(run) as database:
                return database.rows(COUNT.format(table, score))

        def scan() -> None:
            for commit in run.commits().values():
                for file in commit.files:
                    with pq.ParquetFile(run.url(file.path)) as parquet:
                        names = leaf_columns(parquet, ("phrases.text", "phrases.head"))
                        parquet.read(columns=names)

        scanned, *_ = seconds(scan, options.repeat)
        found = {"rows": options.rows, "hits": words(), "scan_s": round(scanned, 2)}
        for name, call in (
            ("words", words),
            ("like", like),
            ("sql_phrases", lambda: sql("phrases", "best_score")),
            ("sql_boxes", lambda: sql("boxes", "score")),
        ):
            best, cold, cpu = seconds(call, options.repeat)
            found |= {
                f"{name}_s": round(best, 2),
                f"{name}_first_s": round(cold, 2),
                f"{name}_cpu_s": round(cpu, 2),
                f"{name}_of_scan": round(best / scanned, 2),
            }
        print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
