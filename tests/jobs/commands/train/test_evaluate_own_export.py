from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.commands.share import export
from jobs.commands.train import evaluate
from tests.jobs.toy_run import toy_run


@pytest.mark.parametrize("file_format", ["coco", "goldg", "odvg"])
def test_a_run_joins_its_own_export_with_copied_images(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file_format: str,
) -> None:
    toy_run(tmp_path, monkeypatch)
    out = tmp_path / ("own.jsonl" if file_format == "odvg" else "own.json")
    export.run(
        export.Config(
            run="RUN",
            out=str(out),
            format=file_format,  # type: ignore[arg-type]
            copy_images=str(tmp_path / "copies"),
        )
    )
    capsys.readouterr()
    evaluate.run(evaluate.Config(gold=str(out), run="RUN", json=True))
    figures = json.loads(capsys.readouterr().out)
    assert figures["labels"]["precision"]["value"] == 1.0
    assert figures["join"]["joined_by_id"] == figures["join"]["joined"] > 0
