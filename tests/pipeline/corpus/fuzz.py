"""Fuzzing of corpora: valid ones of every format are damaged, and what must hold is checked.

    python -m tests.pipeline.corpus.fuzz --cases 100000 --seed 1

For each case a corpus of six pairs is built, made bad before or after it is written, read whole and
in small units, and labelled by a teacher without a model. No exception may escape but those that
name a file or a wrong use; each pair that can be recognised is a row or has a counted reason; pairs
that the damage did not touch give the same bytes as ever; how the corpus is divided changes
nothing; and a second reading gives the same. A failure prints its number: `--only N` repeats it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.corpus import Corpus, open_corpus
from pipeline.corpus import corpus as corpus_module
from pipeline.labelling.annotate_unit import AnnotateOptions, annotate_unit
from pipeline.run.commit_protocol import decode_rows, encode_rows
from schemas.errors import ConfigError, UnitError
from schemas.records import Annotation, CorpusRecord
from schemas.tables import annotations_to_table
from tests.fakes import FakeGrounder, FakeParser
from tests.pipeline.corpus.corpora import CAPTIONS, picture
from tests.pipeline.corpus.fuzz_corpora import BUILDERS, Built, FuzzPair
from tests.pipeline.corpus.fuzz_mutations import (
    ALIENS,
    JSON_ENDINGS,
    Damage,
    add_alien,
    mutate_bytes,
    mutate_json,
    mutate_pairs,
    remove_file,
)

PAIRS = tuple(
    FuzzPair(key=str(n), image=picture(n), caption=caption) for n, caption in enumerate(CAPTIONS)
)
ONLY_TEXT = ("parquet", "image-files")
"""Formats whose captions cannot be JSON values."""
WRITTEN_EVERY = 8
"""Cases of which one writes its rows to Parquet and reads them again: that is slow."""


@dataclass(kw_only=True)
class Found:
    """What became of a corpus: its records and rows, or why there are none."""

    rows: list[Annotation] = field(default_factory=list)
    records: list[CorpusRecord] = field(default_factory=list)
    refused: str = ""
    """The corpus cannot be opened."""
    failed: list[str] = field(default_factory=list)
    """Units that cannot be read."""


class Fuzzer:
    """Cases in one folder. Figures of what they led to are in `outcomes`."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.outcomes: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(1)
        self._counted = 0
        self._quiet: dict[str, list[Annotation]] = {}
        # Small corpora must be divided too.
        corpus_module.SPLIT_MIN_BYTES = 1

    def run(self, number: int) -> None:
        """One case.

        Raises:
            AssertionError: something does not hold; names the case, the format and the damage.
        """
        self._counted = number
        rng = random.Random(f"{self.seed}/{number}")
        name = rng.choice(sorted(BUILDERS))
        if name not in self._quiet:
            self._quiet[name] = self._read(BUILDERS[name](PAIRS), 512).rows
        built, damage = self._damaged(name, rng)
        where = f"case {number} ({name}, {damage.what})"
        try:
            found = self._read(built, 512)
            again = self._read(built, rng.randint(1, 4), write=False)
            self._check(name, damage, found, again)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{where}: {type(error).__name__} escaped: {error}") from error

    def _damaged(self, name: str, rng: random.Random) -> tuple[Built, Damage]:
        kind = rng.random()
        if kind < 0.5:
            can_hold_values = name not in ONLY_TEXT
            pairs, damage = mutate_pairs(PAIRS, rng, can_hold_values=can_hold_values)
            built = BUILDERS[name](pairs)
            return built, replace(damage, num_rows=None if built.is_joined else built.num_rows)
        built = BUILDERS[name](PAIRS)
        if kind > 0.97:
            return built, remove_file(built, len(PAIRS), rng)
        if kind > 0.92 and name in ALIENS:
            return built, add_alien(built, name, rng)
        if kind > 0.85 and any(path.endswith(JSON_ENDINGS) for path in built.files):
            return built, mutate_json(built, len(PAIRS), rng)
        return built, mutate_bytes(built, len(PAIRS), rng)

    def _read(self, built: Built, records_per_unit: int, *, write: bool = True) -> Found:
        if write:
            shutil.rmtree(self.folder / "toy", ignore_errors=True)
            for path, data in built.files.items():
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_bytes(data)
        try:
            corpus = open_corpus(str(self.folder / built.opened))
            units = corpus.units(records_per_unit)
        except ConfigError as error:
            return Found(refused=str(error))
        found = Found()
        for unit in units:
            try:
                records = list(corpus.read(unit))
            except UnitError as error:
                found.failed.append(str(error))
                continue
            assert unit.num_records in (-1, len(records)), (
                f"unit {unit} was planned with {unit.num_records} records, it has {len(records)}"
            )
            found.records += records
            if write:
                found.rows += self._label(corpus, records)
        return found

    def _label(self, corpus: Corpus, records: list[CorpusRecord]) -> list[Annotation]:
        rows = annotate_unit(
            records, FakeGrounder(), FakeParser(), AnnotateOptions(), pool=self._pool
        ).rows
        assert len(rows) == len(records), f"{len(records)} records, {len(rows)} rows"
        annotations_to_table(rows)  # refuses what breaks the contract
        if self._counted % WRITTEN_EVERY == 0:
            data = encode_rows("annotations", rows).data
            assert decode_rows(data, where="") == list(rows), "rows change when written"
        return list(rows)

    def _check(self, name: str, damage: Damage, found: Found, again: Found) -> None:
        assert (found.refused, bool(found.failed)) == (again.refused, bool(again.failed))
        if not found.failed:
            assert again.records == found.records, "divided otherwise, other records"
        ids = [record.record_id for record in found.records]
        assert len(set(ids)) == len(ids), "ids repeat"
        for reason in (found.refused, *found.failed):
            assert not reason or str(self.folder) in reason, f"names no file: {reason}"
        self.outcomes["unit failed"] += len(found.failed)
        if found.refused:
            self.outcomes["refused"] += 1
            return
        rows = {row.record_id: row for row in found.rows}
        quiet = self._quiet[name]
        reasons = len(found.failed) + sum(row.status.is_quarantined for row in found.rows)
        for number, before in enumerate(quiet):
            now = rows.get(before.record_id)
            if now == before or f"{before.record_id}~2" in rows:  # the damage gave it its double
                continue
            assert number in damage.touched, f"pair {number} was not touched, its row is {now}"
            if damage.num_rows is None and not damage.is_silent:
                assert now or reasons, f"pair {number} is gone without a reason"
        if damage.num_rows is not None:
            assert len(rows) == damage.num_rows, f"{len(rows)} rows, not {damage.num_rows}"
        self.outcomes.update(str(row.status) for row in found.rows)


def outcomes_of(seed: int, numbers: range) -> Counter[str]:
    """What some cases led to, in a folder of their own.

    Raises:
        AssertionError: see `Fuzzer.run`.
    """
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        fuzzer = Fuzzer(Path(folder), seed)
        for number in numbers:
            fuzzer.run(number)
        return fuzzer.outcomes


def memory_folder() -> str | None:
    """Where files are quick to make; None: the usual place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    """Run cases; prints figures as JSON, exits 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one case to run")
    options = parser.parse_args()
    numbers = range(options.cases) if options.only is None else [options.only]
    began, failures = time.process_time(), 0
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        fuzzer = Fuzzer(Path(folder), options.seed)
        for number in numbers:
            try:
                fuzzer.run(number)
            except AssertionError as error:
                failures += 1
                print(error, file=sys.stderr)
        print(
            json.dumps(
                {
                    "cases": len(numbers),
                    "failures": failures,
                    "outcomes": dict(fuzzer.outcomes.most_common()),
                    "CPU seconds": round(time.process_time() - began, 1),
                }
            )
        )
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
