"""How long a search takes over a run of a million pairs, against a bare scan of the captions.

    python -m tests.benchmarks.bench_search --rows 1000000

The run is `bench_filter`'s: four phrases and about 52 candidates a pair, and a vector of `--dim`
numbers for each pair. `words` is `glipforge search RUN "wordb27"` from the open run to the hits
with their boxes, `like` the same for `--like PAIR`, `like_words` for both; `sql_phrases` and
`sql_boxes` count phrases and boxes by head noun; `scan` is pyarrow reading the phrases and no more,
`lists` its reading of the layer's vectors as lists. Seconds on the clock, the best of `--repeat`,
and of the first call; CPU seconds, which other programs lengthen less. With `--regions` each
candidate has a vector too, and `like` is `--like BOX`: 19,300 rows are a million boxes.
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
from pipeline.search.likeness import IMAGES, REGIONS, search_like, stored_vector
from pipeline.search.words import pairs_with, search_words
from schemas.layer import KINDS, Layer
from schemas.plan import UnitCommit
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


def write_vectors(run: RunStore, layer: str, dim: int) -> None:
    """A layer of drawn vectors, where the run has none."""
    store, kind, rng = LayerStore(run, layer), KINDS[layer], np.random.default_rng(0)
    store.define(
        Layer(
            name=layer,
            key=kind.key,
            columns=tuple(column.name for column in kind.columns),
            run_plan=run.plan_id(),
            maker={"model": "drawn"},
        )
    )
    for source in store.pending():
        ids = keys_of(run, source, layer)
        vectors = rng.standard_normal((len(ids), dim), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ends = np.arange(0, (len(ids) + 1) * dim, dim, dtype=np.int32)
        said = [pa.repeat(pa.scalar(text), len(ids)) for text in ("ok", "")]
        columns = [ids, *said, pa.ListArray.from_arrays(ends, vectors.ravel())]
        arrays = [c.cast(f.type) for c, f in zip(columns, kind.schema(), strict=True)]
        table = pa.Table.from_arrays(arrays, schema=kind.schema())
        store.commit(source, LayerRows(table=table, statuses={"ok": len(ids)}, examples={}), {})


def keys_of(run: RunStore, source: UnitCommit, layer: str) -> pa.Array:
    """What a layer of a unit has rows about."""
    if layer == IMAGES:
        tables = list(unit_tables(run, source, ("record_id",)))
        return pa.concat_tables(tables).column("record_id").combine_chunks()
    tables = list(unit_tables(run, source, ("boxes.box_id",)))
    boxes = pa.concat_tables(tables).column("boxes").combine_chunks()
    return boxes.flatten().field("box_id")


def main() -> int:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rows-per-unit", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--regions", action="store_true")
    parser.add_argument("--only", nargs="+", help="these alone, e.g. lists like")
    parser.add_argument("--run", type=Path, help="a run that an earlier call has made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.run or Path(folder) / "run"
        if not place.is_dir():
            write_run(place, options.rows, options.rows_per_unit)
        run = RunStore(str(place))
        name = REGIONS if options.regions else IMAGES
        write_vectors(run, name, options.dim)
        commits = list(run.commits().values())
        key = keys_of(run, commits[-1], name)[-1].as_py()  # of the last unit: it is looked for

        def words() -> int:
            with local_files(run) as files:
                return search_words(files, "wordb27", min_score=0.1).phrases

        def like(words: str = "") -> int:
            layer, vector = stored_vector(run, key)  # type: ignore[misc]
            with local_files(run) as files:
                within = pairs_with(files, words) if words else None
                return search_like(run, layer, vector, files=files, within=within).phrases

        def lists() -> None:
            store = LayerStore(run, name)
            for commit in store.commits().values():
                path = store.url(commit.files[0].path)
                with pq.ParquetFile(path) as parquet:
                    parquet.read(columns=["vector"])

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
        found["alike"], found["alike_with_words"] = like(), like("wordb27")
        for called, call in (
            ("words", words),
            ("lists", lists),
            ("like", like),
            ("like_words", lambda: like("wordb27")),
            ("sql_phrases", lambda: sql("phrases", "best_score")),
            ("sql_boxes", lambda: sql("boxes", "score")),
        ):
            if options.only and called not in options.only:
                continue
            best, cold, cpu = seconds(call, options.repeat)
            found |= {
                f"{called}_s": round(best, 2),
                f"{called}_first_s": round(cold, 2),
                f"{called}_cpu_s": round(cpu, 2),
                f"{called}_of_scan": round(best / scanned, 2),
            }
        print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
