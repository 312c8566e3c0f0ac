"""What a curation is made of is read once, whether it is made or found up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.curation import decisions
from pipeline.curation.curate import ensure_curated
from pipeline.curation.decisions import append_decisions
from pipeline.curation.rules.presets import get_policy
from schemas.records import Verdict
from tests.pipeline.curation.test_decisions import decided
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_annotation


def test_decisions_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder_run(tmp_path, [make_annotation()])
    box = make_annotation().boxes[0]
    record_id = make_annotation().record_id
    append_decisions(run, [decided(1, Verdict.KEEP, record_id=record_id, box_id=box.box_id)])
    reads: list[str] = []
    read = decisions.read_bytes
    monkeypatch.setattr(decisions, "read_bytes", lambda url: reads.append(url) or read(url))
    made = ensure_curated(run, get_policy("default"))
    assert len(reads) == 1
    assert ensure_curated(run, get_policy("default")) == made
    assert len(reads) == 2
