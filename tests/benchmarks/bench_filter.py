"""How fast a policy goes over a run: the columnar filter, the row engine, a bare scan.

    python -m tests.benchmarks.bench_filter --rows 40000

One run of drawn numbers on the local disk, about 52 candidates a pair, most of them weak, as a
teacher with a low floor leaves them. CPU seconds of one process: `filter` is all that the command
does (rules, statistics, curated rows written), `scan` is pyarrow reading the same columns and no
more, `rows` is the row engine of the tests with the checked rows that it needs, over a part of the
run. Memory is the peak above that of the interpreter with everything imported.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.curation.batch import READ
from pipeline.curation.curate import curate_run
from pipeline.curation.rules.presets import get_policy
from pipeline.report.stats import merge_stats
from pipeline.run.columns import leaf_columns
from pipeline.run.commit_protocol import UnitFile, encode_table
from pipeline.run.store import RunStore
from schemas.arrow_schemas import ANNOTATION_SCHEMA, BOX_TYPE, PHRASE_TYPE
from schemas.plan import Plan, Unit, UnitCommit
from schemas.tables import table_to_annotations
from tests.pipeline.curation.rules.row_engine import RowCounts, apply_policy

PHRASES = 4
BOXES_PER_PHRASE = 13
WORDS = 4_000


def unit_table(first: int, rows: int, rng: np.random.Generator) -> pa.Table:
    """Annotations of that many pairs; boxes of a phrase cluster, scores are mostly low."""
    per_phrase = rng.integers(0, 2 * BOXES_PER_PHRASE + 1, (rows, PHRASES))
    per_row = per_phrase.sum(axis=1)
    total = int(per_row.sum())
    row = np.repeat(np.arange(rows), per_row)
    phrase = np.repeat(np.tile(np.arange(PHRASES), rows), per_phrase.ravel())
    centres = rng.random((rows, PHRASES, 2)) * 400
    low = centres[row, phrase] + rng.random((total, 2)) * 40
    high = low + 20 + rng.random((total, 2)) * 160
    score = rng.beta(0.7, 2.5, total)
    names = [f"cc/{number // 10_000:05d}/{number:09d}" for number in range(first, first + rows)]
    starts = np.concatenate([[0], np.cumsum(per_row)])
    ordinals = np.arange(total) - starts[row]
    values: dict[str, object] = {
        "box_id": [f"{names[r]}#{n}" for r, n in zip(row.tolist(), ordinals.tolist(), strict=True)],
        "phrase_index": phrase.astype(np.int32),
        "score": score.astype(np.float32),
        "token_score": np.sqrt(score).astype(np.float32),
        "centerness": np.sqrt(score).astype(np.float32),
    } | dict(
        zip(("x0", "y0", "x1", "y1"), np.hstack([low, high]).T.astype(np.float32), strict=True)
    )
    boxes = pa.StructArray.from_arrays(
        [pa.array(values[f.name], f.type) for f in BOX_TYPE], fields=list(BOX_TYPE)
    )
    captions, phrases = _captions(rows, rng)
    columns: dict[str, object] = {
        "record_id": names,
        "source": ["cc"] * rows,
        "image_uri": [f"/data/{name}.jpg" for name in names],
        "image_sha256": [rng.bytes(32).hex() for _ in names],
        "width": [640] * rows,
        "height": [640] * rows,
        "caption": captions,
        "status": ["ok" if number else "no_boxes" for number in per_row],
        "detail": [""] * rows,
        "phrases": phrases,
        "boxes": pa.ListArray.from_arrays(
            starts.astype(np.int32), boxes, type=ANNOTATION_SCHEMA.field("boxes").type
        ),
        "teacher_id": ["bench@0"] * rows,
        "caption_origin": ["corpus"] * rows,
        "proposed_by": [[]] * rows,
    }
    return pa.Table.from_arrays(
        [
            value if isinstance(value, pa.Array) else pa.array(value, f.type)
            for f, value in ((f, columns[f.name]) for f in ANNOTATION_SCHEMA)
        ],
        schema=ANNOTATION_SCHEMA,
    )


def _captions(rows: int, rng: np.random.Generator) -> tuple[list[str], pa.ListArray]:
    captions, found = [], []
    for numbers in (rng.random((rows, PHRASES)) ** 2 * WORDS).astype(int).tolist():
        texts = [f"the word{chr(97 + n % 26)}{n}" for n in numbers]
        captions.append(" beside ".join(texts))
        start = 0
        for text in texts:
            head = text.removeprefix("the ")
            found.append((text, start, start + len(text), head, "ok", 0.5))
            start += len(text) + len(" beside ")
    columns = zip(*found, strict=True)
    struct = pa.StructArray.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, PHRASE_TYPE, strict=True)],
        fields=list(PHRASE_TYPE),
    )
    offsets = np.arange(0, len(found) + 1, PHRASES, dtype=np.int32)
    kind = ANNOTATION_SCHEMA.field("phrases").type
    return captions, pa.ListArray.from_arrays(offsets, struct, type=kind)


def write_run(folder: Path, rows: int, rows_per_unit: int) -> RunStore:
    """A committed run."""
    run, rng = RunStore(str(folder)), np.random.default_rng(0)
    starts = range(0, rows, rows_per_unit)
    sizes = [min(rows_per_unit, rows - start) for start in starts]
    units = tuple(
        Unit(unit_id=f"u{n:05d}", uri="b", kind="rows", start=n, stop=n + 1, num_records=size)
        for n, size in enumerate(sizes)
    )
    run.write_plan(Plan(corpus="b", corpus_format="jsonl", inputs=(), units=units, config={}))
    for unit, start, size in zip(units, starts, sizes, strict=True):
        table = unit_table(start, size, rng)
        file = UnitFile(folder="annotations", num_rows=size, data=encode_table(table))
        statuses = table.column("status").value_counts().to_pylist()
        commit = UnitCommit(
            unit_id=unit.unit_id,
            plan=run.plan_id(),
            rows_in=size,
            rows_out=size,
            status_counts={entry["values"]: entry["counts"] for entry in statuses},
            num_boxes=len(table.column("boxes").combine_chunks().flatten()),
            files=(file.committed_as(run.committer.path_of(file, unit.unit_id, "a")),),
            attempt="a",
            teacher_id="bench@0",
            seconds={},
            finished_at="2026-01-01T00:00:00+00:00",
        )
        assert run.committer.commit(commit, [file])
    run.finalize()
    return run


def scan(run: RunStore) -> int:
    """Read the columns that the filter reads, with pyarrow alone; returns the candidates."""
    boxes = 0
    for commit in run.commits().values():
        for file in commit.files:
            parquet = pq.ParquetFile(run.url(file.path))
            table = parquet.read(columns=leaf_columns(parquet, READ), use_threads=False)
            boxes += len(table.column("boxes").combine_chunks().flatten())
    return boxes


def by_rows(run: RunStore, units: int) -> int:
    """Filter the first units pair after pair; returns the candidates."""
    policy, counts = get_policy("default"), RowCounts()
    for commit in list(run.commits().values())[:units]:
        for file in commit.files:
            for row in table_to_annotations(pq.read_table(run.url(file.path))):
                counts.add(row, apply_policy(row, policy))
    return counts.counts.boxes


def peak_mib() -> float:
    """Of this process so far."""
    # Not getrusage: a child starts with its parent's peak there.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def measure_memory(folder: str, policy: str) -> float:
    """MiB that a fresh process needs to filter a run, above what it has at its start."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_filter", "--curate", folder]
    done = subprocess.run(
        [*command, "--policy", policy], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> int:
    """Print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--rows-per-unit", type=int, default=4_096)
    parser.add_argument("--policy", default="default")
    parser.add_argument("--row-engine-units", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--curate", help="only filter this run, and print the memory it took")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    if options.curate:
        before = peak_mib()
        curate_run(RunStore(options.curate), get_policy(options.policy), workers=1)
        print(peak_mib() - before)
        return 0
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        run = write_run(Path(name) / "run", options.rows, options.rows_per_unit)
        policy = get_policy(options.policy)
        rates: dict[str, list[float]] = {"scan": [], "filter": []}
        for _ in range(options.repeat):
            start = time.process_time()
            boxes = scan(run)
            rates["scan"].append(boxes / (time.process_time() - start))
            start = time.process_time()
            stats = curate_run(run, policy, workers=1)
            merge_stats(run, [stats.policy_id], workers=1)
            rates["filter"].append(boxes / (time.process_time() - start))
            assert stats.drops.boxes == boxes
        found["mib"] = measure_memory(run.uri, options.policy)
        write_run(Path(name) / "quarter", options.rows // 4, options.rows_per_unit)
        found["mib_quarter"] = measure_memory(f"{name}/quarter", options.policy)
        start = time.process_time()
        part = by_rows(run, options.row_engine_units) if options.row_engine_units else 0
        found["rows"] = part / (time.process_time() - start)
        found |= {key: max(values) for key, values in rates.items()}
    found |= {"boxes": boxes, "kept": stats.drops.boxes_kept, "pairs": stats.records_out}
    found["of_scan"] = found["filter"] / found["scan"]
    for key in ("scan", "filter", "rows"):
        print(f"{key:<8}{found[key] / 1e6:>10.3f} M candidates a CPU second")
    print(f"filter is {found['of_scan']:.2f} of the scan", end="")
    print(f", {found['filter'] / found['rows']:.0f} times the row engine" if part else "")
    print(f"{boxes:,} candidates, {stats.drops.boxes_kept:,} kept in {stats.records_out:,} pairs")
    print(f"memory {found['mib']:.0f} MiB, of a quarter of the run {found['mib_quarter']:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
