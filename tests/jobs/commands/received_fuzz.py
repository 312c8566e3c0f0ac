"""Fuzzing of all that a run may hold when it comes from others: layers, trust, reviews, vectors.

    python -m tests.jobs.commands.received_fuzz --cases 20000 --seed 1

As `tests.jobs.damage_fuzz`, whose damage it does, with the commands that read those files.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.curation.decisions import append_decisions
from pipeline.curation.pushed import Pushed, write_pushed
from schemas.fingerprint import sha256_bytes
from tests.jobs.damage_fuzz import Damaged, fuzz
from tests.jobs.toy_run import toy_rows, write_gold
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_decision


class Received(Damaged):
    """Cases over a run with a file of every kind."""

    def _make(self) -> None:
        run = folder_run(self.run, toy_rows(self.folder))
        write_gold(self.folder, detection=True)
        (self.folder / "victim.txt").write_text("not theirs")
        box = make_decision(record_id="toy/0", box_id="toy/0#0", reviewer="ann")
        append_decisions(run, [box])
        write_pushed(run, Pushed(dataset="d", pairs=1, boxes=1))
        out = str(self.folder / "out.jsonl")
        self._all = [
            ["enrich", self.run, "--with", "duplicates", "--runner", "local"],
            ["audit", self.run, "--size", "2"],
            ["calibrate", self.run, "--gold", str(self.folder / "coco.json")],
            ["calibrate", self.run, "--missing-is-wrong"],
            ["queue", self.run],
            ["leakage", self.run, "--against", str(self.folder / "images")],
            ["filter", self.run],
            ["filter", self.run, "--policy", str(self.folder / "policy.json")],
            ["report", self.run],
            ["status", self.run],
            ["search", self.run, "box", "--json"],
            ["search", self.run, "--like", "toy/0"],
            ["sql", self.run, "select * from boxes"],
            ["sql", self.run, "select * from decisions"],
            ["compare", self.run, self.run],
            ["review", "agree", self.run],
            ["prune", self.run, "--out", str(self.folder / "new")],
            ["evaluate", "--run", self.run, "--gold", str(self.folder / "coco.json")],
            ["export", self.run, "--without-leaks", "--format", "boxes", "--force", "--out", out],
            ["export", self.run, "--format", "hf", "--force", "--out", str(self.folder / "hf")],
        ]
        (self.folder / "policy.json").write_text(
            '{"name": "mine", "base": "default", "min_precision": 0.9}'
        )
        for command in self._all:
            self._quietly(command)

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self.run) and path.suffix != ".html"

    def _is_kept(self, path: Path) -> bool:
        return not path.is_relative_to(self.run)

    def _vouch(self, name: Path, data: bytes, rng: random.Random) -> None:
        """Its marker or manifest names the damaged file as it is now."""
        if name.suffix != ".parquet" or rng.random() < 0.2:
            return
        folder = self.folder / name.parent
        for spoken in (
            *folder.glob("manifest.json"),
            *folder.glob("_commits/*.json"),
            *folder.parent.glob("_commits/*.json"),
        ):
            content = json.loads(spoken.read_text())
            for file in content.get("files", ()):
                if Path(file.get("path", file.get("name", ""))).name == name.name:
                    file["sha256"] = sha256_bytes(data)
                    if "size" in file:
                        file["size"] = len(data)
                    with contextlib.suppress(Exception):
                        file["num_rows"] = pq.ParquetFile(pa.BufferReader(data)).metadata.num_rows
            spoken.write_text(json.dumps(content))

    def _commands(self, name: Path) -> list[list[str]]:
        shutil.rmtree(self.folder / "new", ignore_errors=True)
        return self._all


if __name__ == "__main__":
    raise SystemExit(fuzz(Received, __doc__, 20_000))
