"""Images that a run has more than once are grouped, and no others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.layers.store import LayerRows
from pipeline.run.store import RunStore
from pipeline.trust.duplicates import duplicate_groups
from schemas.errors import ConfigError
from schemas.layer import KINDS
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.pipeline.layers.runs import drawn_row, drawn_run
from tests.pipeline.layers.test_store import define

A, B, C, FLAT = "0123456789abcdef" * 2, "fedcba9876543210" * 2, "0f1e2d3c4b5a6978" * 2, "0" * 32
NEAR_A = "0123456789abcdee" * 2  # two bits
NEARER = "0123456789abcde6" * 2  # four bits from A, two from NEAR_A


def hashed(run: RunStore, looks: dict[str, tuple[str | None, str | None]]) -> RunStore:
    """The layer with these pixels and looks; of the others it has none."""
    store, schema = define(run, "duplicates"), KINDS["duplicates"].schema()
    for source in store.pending():
        keys = [row.record_id for row in run.read_rows(source, source.files[0])]
        found = [looks.get(key, (None, None)) for key in keys]
        columns = {
            "record_id": keys,
            "status": ["ok" if pixels else "image_missing" for pixels, _ in found],
            "detail": [""] * len(keys),
            "pixels_sha256": [pixels for pixels, _ in found],
            "dhash": [look for _, look in found],
        }
        table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
        store.commit(source, LayerRows(table=table, statuses={}, examples={}), {})
    return run


def test_near_and_equal_images_across_units_are_groups(tmp_path: Path) -> None:
    run = hashed(
        drawn_run(tmp_path),
        {
            "toy/0": ("p0", A),
            "toy/1": ("p1", B),
            "toy/2": ("p2", FLAT),
            "toy/3": ("p3", NEAR_A),
            "toy/4": ("p2", FLAT),
            "toy/5": ("p5", NEARER),
        },
    )
    # Flat images look like any other: only equal pixels make them one.
    assert duplicate_groups(run, 2) == [("toy/0", "toy/3", "toy/5"), ("toy/2", "toy/4")]
    assert duplicate_groups(run, 0) == [("toy/2", "toy/4")]


def test_captions_of_one_file_are_no_duplicates(tmp_path: Path) -> None:
    rows = [drawn_row(tmp_path, number) for number in range(6)]
    for number, of in ((1, 0), (3, 2), (4, 2)):
        rows[number] = dataclasses.replace(rows[number], image_uri=rows[of].image_uri)
    run = folder_run(tmp_path / "run", rows[:3], more_units=[3])
    commit_rows(run, 1, rows[3:])
    looks = {"toy/0": A, "toy/1": A, "toy/2": B, "toy/3": B, "toy/4": B, "toy/5": B}
    hashed(run, {key: (look, look) for key, look in looks.items()})
    assert duplicate_groups(run, 4) == [("toy/2", "toy/3", "toy/4", "toy/5")]


def test_nothing_to_compare_and_a_missing_layer(tmp_path: Path) -> None:
    run = drawn_run(tmp_path)
    with pytest.raises(ConfigError, match="no layer 'duplicates'"):
        duplicate_groups(run, 4)
    define(run, "duplicates")
    with pytest.raises(ConfigError, match="lacks 2 of 2 units, .* `glipforge enrich` command"):
        duplicate_groups(run, 4)
    hashed(run, {"toy/0": ("p0", C)})
    assert duplicate_groups(run, 4) == []
    with pytest.raises(ConfigError, match=r"max_distance must be in \[0, 15\], got 16"):
        duplicate_groups(run, 16)
