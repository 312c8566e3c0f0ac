"""What `evaluate` says of its gold beside the figures."""

from __future__ import annotations

import json

import pytest

from jobs.figures_table import print_figures
from pipeline.evaluation.result import EvaluationResult
from pipeline.gold import load_gold


def test_what_gold_lost_and_what_was_read_otherwise_is_printed(
    tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [[1, 2, 3, 4], [5, 5, 5, 5]]
    row = {"filename": "a.jpg", "width": 64, "height": 48}
    row["detection"] = {"instances": [{"bbox": b, "label": 1, "category": "kid"} for b in boxes]}
    path, names = tmp_path / "gold.jsonl", tmp_path / "names.json"
    path.write_text(json.dumps(row))
    names.write_text(json.dumps(["kid", "kite"]))
    gold = load_gold(str(path), label_map=str(names))
    print_figures(EvaluationResult.of_gold("teacher", gold), nouns=0, out=None)
    said = capsys.readouterr().out
    assert "gold adjusted: label and category that disagree (the label counts" in said
    assert "gold dropped: " in said
