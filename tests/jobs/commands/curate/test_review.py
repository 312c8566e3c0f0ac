"""`glipforge review`: push, open, pull, as a user types them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from pipeline.curation.decisions import load_decisions
from pipeline.review.child_process import module_root, port_answers
from pipeline.review.database.server import open_database
from pipeline.review.home import database_name, review_home
from pipeline.review.sync.store.mongo_store import StoredDataset, get_dataset, open_store
from pipeline.review.sync.store.run_dataset import dataset_name
from schemas.errors import ConfigError
from schemas.records import Verdict
from tests.jobs.toy_run import toy_run
from tests.pipeline.folder_run import folder_run


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A labelled run; the review home beside it."""
    toy_run(tmp_path, monkeypatch)
    monkeypatch.setenv("GLIPFORGE_REVIEW_HOME", str(tmp_path / "home"))
    for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_NAME"):
        monkeypatch.delenv(name, raising=False)
    return str(tmp_path / "RUN")


def edit(tmp_path: Path, run_dir: str, change: dict[str, Any]) -> None:
    """Change the first box of the first pair in the database."""
    home = review_home(tmp_path / "home")
    with open_database(home) as database, open_store(database.uri, database_name()) as store:
        stored: StoredDataset = get_dataset(store, dataset_name(run_dir, None))
        stored.samples.update_one(
            {"record_id": "toy/0"},
            {"$set": {f"boxes.detections.0.{name}": value for name, value in change.items()}},
        )


def test_names_follow_the_run_not_the_way_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "My Run").mkdir()
    name = dataset_name("My Run", None)
    assert name == dataset_name(f"{tmp_path}/My Run/", None)
    assert name.startswith("my-run-")
    assert dataset_name("s3://bucket/a/", None) == dataset_name("s3://bucket/a", None)
    assert dataset_name("s3://bucket/a", None) != dataset_name("s3://other/a", None)
    assert dataset_name("x", "Mine") == "Mine"
    with pytest.raises(ConfigError, match=r"dataset '犬' needs a letter or a digit"):
        dataset_name("x", "犬")


@pytest.mark.parametrize(
    "options, said",
    [
        (["push", "--limit", "0"], "--limit must be at least 1, got 0"),
        (["push", "--min-score", "2"], "--min-score must be in [0, 1], got 2.0"),
        (["push", "--policy", "nice"], "nice"),
        (["open", "--address", "0.0.0.0"], "the App has no login"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(
    run_dir: str, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert cli.main(["review", options[0], run_dir, *options[1:]]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.fiftyone
def test_push_open_pull(run_dir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("open", "pull"):
        assert cli.main(["review", command, run_dir]) == 2
        said = capsys.readouterr().err
        assert f"run `glipforge review push {run_dir}` first" in said

    assert cli.main(["review", "push", run_dir, "--min-score", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "3 pairs added, 0 refreshed, 0 unchanged, 0 removed, 4 boxes" in said
    assert f"next: glipforge review open {run_dir}" in said

    app = subprocess.Popen(
        [sys.executable, "-m", "jobs", "review", "open", run_dir],
        cwd=module_root(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert app.stdout is not None
    lines = [app.stdout.readline() for _ in range(5)]
    url = lines[1].removeprefix("review: ").strip()
    assert url.endswith(f"/datasets/{dataset_name(run_dir, None)}")
    assert lines[2].startswith("from another machine: ssh -N -L ")
    with urllib.request.urlopen(url, timeout=200) as page:
        assert page.status == 200
    endpoint = json.loads(review_home(tmp_path / "home").endpoint.read_text())
    edit(tmp_path, run_dir, {"review": "rejected"})  # shares the app's database
    app.send_signal(signal.SIGINT)
    rest, _ = app.communicate(timeout=200)
    assert (app.returncode, rest) == (0, "\nending the app\n")
    assert not port_answers(endpoint["port"])
    assert not port_answers(int(url.split(":")[2].split("/")[0]))

    assert cli.main(["review", "push", run_dir, "--rebuild"]) == 2
    assert "holds 1 changes that were never pulled" in capsys.readouterr().err
    pull = [sys.executable, "-m", "jobs", "review", "pull", run_dir, "--reviewer", "ann"]
    two = [
        subprocess.Popen(pull, cwd=module_root(), stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    lines = sorted(one.communicate(timeout=300)[0].splitlines()[0] for one in two)
    assert [one.returncode for one in two] == [0, 0]
    assert lines == [
        "3 pairs read, 0 with changes: 0 new decisions (none); 3 boxes still pending",
        "3 pairs read, 1 with changes: 1 new decisions (1 drop); 3 boxes still pending",
    ]
    (decision,) = load_decisions(folder_run(Path(run_dir), []))
    assert (decision.box_id, decision.verdict, decision.reviewer) == (
        "toy/0#0",
        Verdict.DROP,
        "ann",
    )

    edit(tmp_path, run_dir, {"label": "a cat"})
    assert cli.main(["review", "pull", run_dir]) == 0
    said = capsys.readouterr().err
    assert "conflict: toy/0#0: no_such_phrase: the label 'a cat' is not a phrase" in said
    assert cli.main(["review", "push", run_dir, "--rebuild", "--discard-unpulled"]) == 0
    assert "3 pairs added" in capsys.readouterr().out
    assert cli.main(["review", "pull", run_dir]) == 0
    assert "0 new decisions (none); 5 boxes still pending" in capsys.readouterr().out
    home = review_home(tmp_path / "home")
    with open_database(home) as database, open_store(database.uri, database_name()) as store:
        check_queues(run_dir, store, capsys)


def check_queues(run_dir: str, store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """An audit and a queue are datasets of their own, with their boxes only."""
    name = dataset_name(run_dir, None)
    assert cli.main(["audit", run_dir, "--size", "2"]) == 0
    assert cli.main(["queue", run_dir]) == 0
    for queue in ("audit", "errors"):
        assert cli.main(["review", "push", run_dir, "--queue", queue]) == 0
        said = capsys.readouterr().out
        assert f"next: glipforge review open {run_dir} --dataset {name}-{queue}" in said
    drawn, suspected = (
        [
            label | {"pair_score": document["queue_score"]}
            for document in get_dataset(store, f"{name}-{queue}").samples.find({})
            for label in document["boxes"]["detections"]
        ]
        for queue in ("audit", "errors")
    )
    assert [label["audit"] for label in drawn if label["review"] == "pending"] == [True] * 2
    # Suspicions would sway who judges the audit.
    assert {label["queue_score"] for label in drawn} == {None}
    assert {label["pair_score"] for label in drawn} == {None}
    scores = [label["queue_score"] for label in suspected if label["review"] == "pending"]
    assert scores
    assert min(scores) > 0
    audited = get_dataset(store, f"{name}-audit").samples
    for label in drawn:
        judged = {"boxes.detections.$.review": "accepted"}
        audited.update_one({"boxes.detections._id": label["_id"]}, {"$set": judged})
    command = ["review", "pull", run_dir, "--dataset", f"{name}-audit", "--reviewer", "ann"]
    assert cli.main(command) == 0
    assert cli.main(["calibrate", run_dir]) == 0
    assert "2 of 2 judged labels are right" in capsys.readouterr().out
