"""Failed rows done again: the good stay, the reasons are kept, a kill loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.commands.label.label import label
from jobs.labelling.running import Running, statuses_to_retry
from pipeline.run.committed import CommittedUnits
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.records import Status
from tests.jobs.fake_label import FakeSetup, all_rows, asked
from tests.pipeline.corpus.corpora import picture

LOCAL = Running(runner="local")
AGAIN = replace(LOCAL, retry_failed="all")


def write_lines(folder: Path, missing: set[int]) -> str:
    """Twelve pairs as JSON lines; pictures of `missing` are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(12):
        if number not in missing:
            (folder / f"{number}.png").write_bytes(picture(number))
        lines.append(json.dumps({"image": f"{number}.png", "caption": f"a dog{number} and a cat"}))
    if not (rows := folder / "data.jsonl").exists():  # its time is part of the plan
        rows.write_text("\n".join(lines) + "\n")
    return str(rows)


def test_words() -> None:
    assert statuses_to_retry("") == ()
    assert statuses_to_retry("image_missing, worker_hang") == ("image_missing", "worker_hang")
    assert "image_corrupt" in statuses_to_retry("all")
    assert "duplicate_id" not in statuses_to_retry("all")
    for wrong in ("ok", "missing", "all,ok"):
        with pytest.raises(ConfigError, match="--retry-failed must be all, or of .*, got"):
            Running(retry_failed=wrong)


def test_only_what_failed_is_labelled_and_reasons_are_kept(tmp_path: Path) -> None:
    corpus, out, log = write_lines(tmp_path / "c", {1, 5}), tmp_path / "run", tmp_path / "log"
    (tmp_path / "c" / "7.png").write_bytes(b"not an image")
    setup = FakeSetup(corpus=corpus, grounder={"log": str(log)})
    assert label(setup, str(out), 4, LOCAL) == 0
    before = {row.record_id: row for row in all_rows(out)}
    good = {name: row for name, row in before.items() if not row.status.is_quarantined}
    assert (len(good), asked(log)) == (9, 9)

    write_lines(tmp_path / "c", {5})  # the first picture came back, the seventh was mended
    only_missing = replace(LOCAL, retry_failed="image_missing")
    assert label(setup, str(out), 4, only_missing) == 0
    after = {row.record_id: row for row in all_rows(out)}
    assert {name: after[name] for name in good} == good
    changed = {name for name in after if after[name] != before[name]}
    assert (len(changed), asked(log)) == (1, 10)
    assert RunStore(out).is_complete()
    (kept,) = [json.loads(path.read_text()) for path in (out / "_retries").iterdir()]
    assert {row["record_id"] for row in kept["rows"]} == changed
    assert [row["status"] for row in kept["rows"]] == ["image_missing"]
    assert {row["became"] for row in kept["rows"]} <= {"ok", "no_boxes"}

    assert label(setup, str(out), 4, AGAIN) == 0
    assert (asked(log), len(list((out / "_retries").iterdir()))) == (11, 2)
    counts = RunStore(out).commits().values()
    assert sum(commit.status_counts.get("image_missing", 0) for commit in counts) == 1
    assert not any(commit.status_counts.get("image_corrupt") for commit in counts)


def test_another_failure_says_the_first_reason_too(tmp_path: Path) -> None:
    corpus, out = write_lines(tmp_path / "c", {1}), tmp_path / "run"
    setup = FakeSetup(corpus=corpus)
    assert label(setup, str(out), 4, LOCAL) == 0
    (tmp_path / "c" / "1.png").write_bytes(b"")
    for _ in range(2):  # the second time nothing is new, and nothing is written
        assert label(setup, str(out), 4, AGAIN) == 0
        (row,) = RunStore(out).iter_quarantine()
        assert row.status is Status.IMAGE_CORRUPT
        assert row.detail.count("; before: ") == 1
        assert "before: image_missing, " in row.detail
    assert len(list((out / "_retries").iterdir())) == 1


def test_a_kill_between_the_commits_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, out = write_lines(tmp_path / "c", {1}), tmp_path / "run"
    setup = FakeSetup(corpus=corpus)
    assert label(setup, str(out), 12, LOCAL) == 0
    before = {row.record_id: row for row in all_rows(out)}
    write_lines(tmp_path / "c", set())
    withdraw = CommittedUnits.withdraw

    def deadly(self: CommittedUnits, commits: object) -> None:
        withdraw(self, commits)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(CommittedUnits, "withdraw", deadly)
    with pytest.raises(KeyboardInterrupt):
        RunStore(out).withdraw(RunStore(out).commits().values())
    monkeypatch.undo()
    assert not RunStore(out).commits()
    assert label(setup, str(out), 12, LOCAL) == 0
    after = {row.record_id: row for row in all_rows(out)}
    assert after.keys() == before.keys()
    assert all(not row.status.is_quarantined for row in after.values())
