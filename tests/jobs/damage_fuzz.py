"""Fuzzing of our own files: a run, its curation, its decisions, a policy.

    python -m tests.jobs.damage_fuzz --cases 50000 --seed 1

For each case one file is damaged, and a command that reads it is run as a user runs it. It must
end with an exit code of 0, 1 or 2; a refusal is one sentence that names a file; nothing outside
of the run may be touched. A failure prints its number: `--only N` repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.cli import main as glipforge
from pipeline.curation.decisions import append_decisions
from tests.jobs.toy_run import toy_rows
from tests.pipeline.corpus.fuzz import memory_folder
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_decision

_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 1e308, 0.5, "", "x", "../../victim.txt", "/etc/passwd"),
    *("\ud800", "\x1b[2J", [], [[]], {}, {"a": {}}, ["x"], "9" * 5000, float("nan")),
    *(10**19, -(2**63), "a\0b", "a\nb", "\u202e", "C:\\x", ".", "..", "x" * 300, float("inf")),
)
_TEXTS = (
    *(b"", b"\0", b"{", b"{}", b"[]", b"null", b"7", b'"x"', b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}"),
    *(b"[" * 50_000, b'{"a":' * 50_000, b"NaN", b"PAR1PAR1", b'{"version": 1}', b"9" * 5000),
)


class Damaged:
    """Cases in one folder; `outcomes` counts how they ended."""

    most_s = 20.0
    """Of a command: one that hangs is found, one on a busy machine is not."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.outcomes: Counter[str] = Counter()
        self.run = str(folder / "run")
        self._make()
        self.good = {
            path.relative_to(folder): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and self._is_ours(path)
        }
        self.names = sorted(self.good)

    def _is_ours(self, path: Path) -> bool:
        """A file that is damaged; others are left as they are."""
        return path.suffix != ".png" and path.name != "victim.txt"

    def _is_kept(self, path: Path) -> bool:
        """Neither ours nor left over from a case before."""
        return path.suffix == ".png" or path.name == "victim.txt"

    def _require_sentence(self, where: str, name: Path, code: int, said: str) -> None:
        """What is asked of the words of this command beyond what all must hold to."""

    def _vouch(self, name: Path, data: bytes, rng: random.Random) -> None:
        """Change what else speaks of the damaged file, as who does it on purpose would."""

    def _make(self) -> None:
        run = folder_run(self.run, toy_rows(self.folder))
        append_decisions(run, [make_decision(record_id="toy/0", box_id="toy/0#0")])
        self._quietly(["filter", self.run])
        self._quietly(["report", self.run, "--out", str(self.folder / "report.html")])
        (self.folder / "report.html").unlink()
        moved = [{"old": "/nowhere", "new": "/elsewhere"}]
        (self.folder / "run" / "_relocated.json").write_text(json.dumps(moved))
        (self.folder / "run" / "run.json").write_text(json.dumps({"starts": []}))
        (self.folder / "run" / "_lock").write_text(
            json.dumps({"host": "h", "pid": 1, "since": "2026-01-01T00:00:00+00:00"})
        )
        (self.folder / "policy.json").write_text(
            json.dumps({"name": "mine", "base": "default", "min_box_score": 0.2})
        )
        (self.folder / "victim.txt").write_text("not theirs")

    def _commands(self, name: Path) -> list[list[str]]:
        out = str(self.folder / "out.json")
        if name.name == "policy.json":
            return [["filter", self.run, "--policy", str(self.folder / name)]]
        return [
            ["status", self.run],
            ["status", self.run, "--json"],
            ["filter", self.run],
            ["export", self.run, "--format", "coco", "--out", out],
            ["report", self.run, "--out", str(self.folder / "out.html")],
            ["compare", self.run, self.run],
        ]

    def case(self, number: int) -> None:
        """One case.

        Raises:
            AssertionError: something does not hold; names the case, the file and the damage.
        """
        rng = random.Random(f"{self.seed}/{number}")
        name = rng.choice(self.names)
        what, data = damage(self.good[name], rng, is_json=name.suffix != ".parquet")
        for path, good in self.good.items():
            whole = self.folder / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(data if path == name else good)
        self._vouch(name, data, rng)
        self._remove_others()
        command = rng.choice(self._commands(name))
        where = f"case {number}: {what} of {name}, {command[0]}"
        began = time.monotonic()
        code, said = self._quietly(command, where)
        assert time.monotonic() - began < self.most_s, f"{where}: took too long"
        assert code in (0, 1, 2), f"{where}: exit code {code}"
        assert "Traceback" not in said, f"{where}: {said}"
        assert "\x1b" not in said, f"{where}: a terminal escape"
        if code and said:
            assert len(said) < 20_000, f"{where}: {len(said)} characters"
        assert (self.folder / "victim.txt").read_text() == "not theirs", where
        self._require_sentence(where, name, code, said)
        self.outcomes[f"{command[0]} {code}"] += 1

    def _remove_others(self) -> None:
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder)
            if path.is_file() and not self._is_kept(path) and name not in self.good:
                path.unlink()

    def _quietly(self, command: Sequence[str], where: str = "") -> tuple[int, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = glipforge(command)
            except SystemExit as ended:
                code = int(ended.code or 0) if not isinstance(ended.code, str) else 2
            except BaseException as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(last.filename).name}:{last.lineno}"
                raise AssertionError(
                    f"{where}: {type(error).__name__} escaped at {place}: {str(error)[:200]}"
                ) from error
        return code, err.getvalue() + out.getvalue()


def damage(data: bytes, rng: random.Random, *, is_json: bool) -> tuple[str, bytes]:
    """What was done, and the damaged file."""
    kinds: dict[str, Callable[[], bytes]] = {
        "flip": lambda: _flip(data, rng),
        "cut": lambda: data[: rng.randrange(len(data) + 1)],
        "noise": lambda: _noise(data, rng),
        "text": lambda: rng.choice(_TEXTS),
        "double": lambda: data * 2,
    }
    if is_json:
        kinds["value"] = lambda: _value(data, rng)
        kinds["another value"] = lambda: _value(data, rng)
        kinds["two values"] = lambda: _value(_value(data, rng), rng)
    elif data[:4] == b"PAR1":
        kinds["another table"] = lambda: _table(data, rng)
    kind = rng.choice(sorted(kinds))
    return kind, kinds[kind]()


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\1"
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def _noise(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    size = rng.choice((1, 4, 30))
    return data[:start] + rng.randbytes(size) + data[start + size :]


def _value(data: bytes, rng: random.Random) -> bytes:
    """One value of a JSON file becomes another, or a key goes, or one comes."""
    try:
        root = [json.loads(data)]
    except ValueError:
        return data
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [root]
    while todo:
        here = todo.pop()
        keys = here if isinstance(here, dict) else range(len(here))
        for key in keys:
            places.append((here, key))
            if isinstance(here[key], dict | list):
                todo.append(here[key])
    parent, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.15 and isinstance(parent, dict):
        del parent[key]
    elif kind < 0.25 and isinstance(parent, dict):
        parent["other"] = rng.choice(_VALUES)
    else:
        parent[key] = rng.choice(_VALUES)
    return json.dumps(root[0]).encode() if root else b""


def _table(data: bytes, rng: random.Random) -> bytes:
    """The same Parquet with another column, other values, other rows, or pages that inflate."""
    table = pq.read_table(pa.BufferReader(data), use_threads=False)
    if not table.num_columns or not table.num_rows:
        return data
    place = rng.randrange(table.num_columns)
    name = table.column_names[place]
    rows = table.num_rows
    others: list[Callable[[], pa.Table]] = [
        lambda: table.remove_column(place),
        lambda: table.rename_columns(["x" if n == name else n for n in table.column_names]),
        lambda: table.set_column(place, name, pa.nulls(rows)),
        lambda: table.set_column(place, name, pa.nulls(rows, table.schema.field(place).type)),
        lambda: table.set_column(place, name, pa.array([rng.choice(_TEXTS)] * rows, pa.binary())),
        lambda: table.set_column(place, name, pa.array([float("nan")] * rows)),
        lambda: table.set_column(place, name, pa.array([2**63] * rows, pa.uint64())),
        lambda: table.append_column(name, table.column(place)),
        lambda: pa.concat_tables([table, table]),
        lambda: table.slice(0, 0),
        lambda: table.take([0] * 50_000),
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(rng.choice(others)(), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def fuzz(kind: type[Damaged], what: str | None, cases: int) -> int:
    """Run cases; prints figures as JSON, exits 1 where one fails."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one case to run")
    options = parser.parse_args()
    numbers = range(options.cases) if options.only is None else [options.only]
    began, failures = time.process_time(), Counter[str]()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        damaged = kind(Path(folder), options.seed)
        for number in numbers:
            try:
                damaged.case(number)
            except AssertionError as error:
                key = str(error).partition(" escaped ")[2] or str(error)
                failures[key[:120]] += 1
                if failures[key[:120]] == 1:
                    print(error, file=sys.stderr)
    figures = {
        "cases": len(numbers),
        "failures": sum(failures.values()),
        "different": len(failures),
        "outcomes": dict(damaged.outcomes.most_common()),
        "CPU seconds": round(time.process_time() - began, 1),
    }
    print(json.dumps(figures))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(fuzz(Damaged, __doc__, 50_000))
