"""The whole loop on Ray, from and to an object store: label, filter, train, evaluate, label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.ray_session import ray_session
from model.files.shipped import shipped_nano
from pipeline.run.store import RunStore
from pipeline.storage.files import write_bytes
from tests.faulty_store import BUCKET, faulty_store

pytestmark = [pytest.mark.slow, pytest.mark.ray]
SMALL_STEPS = ["--set", "train.log_every=1", "--set", "train.optimizer.rate=1e-4"]


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    """An object store that workers know, since Ray starts after it."""
    with faulty_store(), ray_session(num_cpus=3):
        yield


def test_a_student_labels_what_its_teacher_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, student = tmp_path / "web", tmp_path / "student"
    assert main(["demo", "world", "--out", str(corpus), "--scenes", "8"]) == 0
    gold = ["--out", str(tmp_path / "gold"), "--kind", "gold", "--scenes", "4"]
    assert main(["demo", "world", *gold]) == 0
    grounding = str(tmp_path / "gold" / "grounding.json")
    tars = sorted(corpus.glob("*.tar"))
    for tar in tars:
        write_bytes(f"s3://{BUCKET}/web/{tar.name}", tar.read_bytes())
    urls = ["--corpus", f"s3://{BUCKET}/web/*.tar", "--workers", "1"]
    runs = [f"s3://{BUCKET}/runs/{number}" for number in (1, 2)]

    assert main(["label", *urls, "--out", runs[0]]) == 0
    assert main(["filter", runs[0]]) == 0
    train = ["--preset", "glip-nano", "--warm-start", str(shipped_nano()), "--out", str(student)]
    train += ["--curated", runs[0], "--gold", grounding, "--steps", "2", "--batch-size", "4"]
    held_out = f"evaluation={json.dumps([{'gold': grounding}])}"
    train += ["--workers", "2", "--threads", "1", "--set", held_out, *SMALL_STEPS]
    assert main(["pretrain", *train]) == 0
    assert main(["status", str(student)]) == 0
    assert f"run      {student}: complete" in capsys.readouterr().out
    assert not (student / "unreadable.jsonl").exists()  # pictures came out of the tars
    figures = ["--gold", grounding, "--out", str(tmp_path / "figures.json")]
    assert main(["evaluate", "--teacher", str(student / "model"), *figures]) == 0
    recall = json.loads((tmp_path / "figures.json").read_text())["recalls"][0]
    assert recall["num_images"] == 4
    assert main(["label", *urls, "--out", runs[1], "--teacher", str(student / "model")]) == 0

    first, second = (list(RunStore(run).iter_annotations()) for run in runs)
    assert [row.record_id for row in first] == [row.record_id for row in second]
    assert {row.teacher_id for row in first}.isdisjoint(row.teacher_id for row in second)
    assert main(["compare", *runs]) == 0
    card = (student / "model" / "README.md").read_text()
    assert "| 1 | grounding | 8 |" in card
