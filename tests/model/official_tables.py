"""Names, shapes and recipe checksums of the published networks, kept in `tests/golden/model/`.

Made again, from a folder with the parity tables: `python -m tests.model.official_tables FOLDER`
"""

from __future__ import annotations

import csv
import gzip
import sys
from pathlib import Path
from typing import NamedTuple

GOLDEN = Path(__file__).parent.parent / "golden" / "model"
PRESETS = {"glip-t-a": "glip_t_a", "glip-t": "glip_t", "glip-l": "glip_l"}


class OfficialTensor(NamedTuple):
    """One entry of a published state dict. sha256: first 16 hex digits; `kept` for what the
    recipe leaves alone."""

    name: str
    shape: tuple[int, ...]
    kind: str
    sha256: str


def official_table(preset: str) -> list[OfficialTensor]:
    """The whole state dict of a published network, in its order."""
    with gzip.open(GOLDEN / f"{PRESETS[preset]}.tsv.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [
        OfficialTensor(name, tuple(map(int, shape.split("x"))), kind, sha)
        for name, shape, kind, sha in rows
    ]


def _regenerate(folder: Path) -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for stem in PRESETS.values():
        with (folder / f"{stem}.weights_check.tsv").open() as file:
            sums = {row["key"]: row["sha256_16"] for row in csv.DictReader(file, delimiter="\t")}
        lines = []
        with (folder / f"{stem}.state_dict.tsv").open() as file:
            for row in csv.DictReader(file, delimiter="\t"):
                sha = sums[row["key"]]
                lines.append(f"{row['key']}\t{row['shape']}\t{row['kind']}\t{sha}\n")
        with (GOLDEN / f"{stem}.tsv.gz").open("wb") as raw:
            raw.write(gzip.compress("".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    _regenerate(Path(sys.argv[1]))
