from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.gold.class_names import read_class_names, read_csv
from schemas.errors import DataError


@pytest.fixture
def short_cells() -> Iterator[None]:
    """A limit that a test reaches with little."""
    before = csv.field_size_limit(1000)
    yield
    csv.field_size_limit(before)


def test_a_label_map_of_commas_is_read(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text('1, cat\n\n2,"dog, large",mammal\n3\n')
    assert read_class_names(str(path)) == {1: "cat", 2: "dog, large"}


def test_a_cell_without_end_is_a_sentence_with_the_file(tmp_path: Path, short_cells: None) -> None:
    path = tmp_path / "names.csv"
    path.write_text("1," + "x" * 2000)
    for read in (read_csv, lambda path: read_class_names(str(path))):
        with pytest.raises(DataError, match=r"names\.csv' cannot be read: field larger than"):
            read(path)
