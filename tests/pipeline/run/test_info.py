from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.run.info import KnownCategories, RunInfo, RunStart, read_run_info, write_run_info
from pipeline.run.store import RunStore
from schemas.errors import DataError
from schemas.grounder import ScoreFacts


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert read_run_info(RunStore(str(tmp_path))) == RunInfo()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    info = RunInfo(
        teacher_id="t@1",
        records_per_unit=64,
        starts=(RunStart(at="2026-01-01", running={"workers": 2}, command=("ü",), packages={}),),
        scores=ScoreFacts(recommended_threshold=0.4, meaning="a token's"),
        categories=KnownCategories(names=("dog",), ids=(18,)),
    )
    run = RunStore(str(tmp_path))
    write_run_info(run, info)
    assert read_run_info(run) == info
    assert "gold" not in json.loads((tmp_path / "run.json").read_text())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "run.json must hold a JSON object, got list"),
        ("{", "run.json is not JSON: "),
        ('{"starts": [{"at": "now"}]}', r"run.json: starts\[0\].running is missing"),
        ('{"records_per_unit": -1}', "records_per_unit must be a whole number >= 0, got -1"),
        ('{"mood": 1}', "mood is unknown; allowed: categories, config, "),
    ],
)
def test_a_damaged_file_is_explained(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match=said + ".*; delete it: it only says who labelled when$"):
        read_run_info(RunStore(str(tmp_path)))
