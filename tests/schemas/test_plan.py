"""Plans, markers and fingerprints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.errors import ConfigError, DataError, FingerprintMismatch, RecordError
from schemas.fingerprint import canonical_json, fingerprint, require_same
from schemas.plan import CommittedFile, InputFile, Plan, Unit, UnitCommit

PLAN = Plan(
    corpus="c",
    corpus_format="jsonl",
    inputs=(InputFile(uri="c/a", size=3, etag="mtime:1"),),
    units=(Unit(unit_id="u0", uri="c/a", kind="jsonl", start=0, stop=3, num_records=1),),
    config={"teacher": "fake@0", "floor": 0.1},
)
MARKER = UnitCommit(
    unit_id="u0",
    plan=PLAN.fingerprint(),
    rows_in=1,
    rows_out=1,
    status_counts={"ok": 1},
    num_boxes=1,
    files=(CommittedFile(path="annotations/u0.parquet", num_rows=1, size=9, sha256="ab"),),
    attempt="a0",
    teacher_id="fake@0",
    seconds={"teacher": 0.5},
    finished_at="2026-01-01T00:00:00Z",
)


def test_plan_and_marker_round_trip() -> None:
    assert Plan.from_json(PLAN.to_json(), where="_plan.json") == PLAN
    assert UnitCommit.from_json(MARKER.to_json(), where="u0.json") == MARKER


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.json is not JSON"),
        ('{"unit_id": ', "x.json is not JSON"),  # torn
        ("[]", "x.json must hold a JSON object, got list"),
        ("{}", "has version None; this glipforge reads version 1"),
        ('{"version": 1}', "x.json is not a"),
    ],
)
@pytest.mark.parametrize("kind", [Plan, UnitCommit])
def test_torn_and_foreign_files_are_named(kind: type, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        kind.from_json(text, where="x.json")


def test_the_fingerprint_sees_every_field_and_no_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert replace(PLAN, config={"floor": 0.2}).fingerprint() != PLAN.fingerprint()
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_a_mismatch_names_both_values() -> None:
    require_same({"floor": 0.1}, {"floor": 0.1}, where="run", remedy="")
    with pytest.raises(
        FingerprintMismatch, match=r"run was made .*floor was 0.1, this run has 0.4. Use another"
    ) as error:
        require_same({"floor": 0.1}, {"floor": 0.4}, where="run", remedy="Use another --out.")
    assert isinstance(error.value, ConfigError)


def test_record_errors_survive_a_process_border() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(RecordError("image_corrupt", "cut short")))
    assert (error.status, error.detail) == ("image_corrupt", "cut short")
