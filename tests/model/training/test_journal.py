from __future__ import annotations

import json
import math

from model.training.journal import Journal, RateMeter, read_log


class Recorder:
    def __init__(self) -> None:
        self.seen: list = []
        self.closed = False

    def scalars(self, step, values) -> None:
        self.seen.append((step, dict(values)))

    def close(self) -> None:
        self.closed = True


def test_lines_state_and_trackers_say_the_same(tmp_path):
    recorder = Recorder()
    journal = Journal(tmp_path, 100, 0, (recorder,))
    journal.log(10, "train", {"loss": 1.5})
    journal.log(10, "evaluation", {"ap50": 0.25})
    journal.state("done", 10, detail="all of it")
    journal.close()
    lines = read_log(tmp_path / "log.jsonl")
    assert [(line["step"], line["event"]) for line in lines] == [(10, "train"), (10, "evaluation")]
    state = json.loads((tmp_path / "train.json").read_text())
    assert (state["kind"], state["status"], state["step"]) == ("train", "done", 10)
    assert state["last"]["loss"] == 1.5
    assert state["evaluation"]["ap50"] == 0.25
    assert state["detail"] == "all of it"
    assert recorder.seen == [(10, {"train/loss": 1.5}), (10, {"evaluation/ap50": 0.25})]
    assert recorder.closed


def test_a_resume_forgets_lines_after_its_step_and_a_cut_last_line(tmp_path):
    journal = Journal(tmp_path, 100, 0)
    for step in (10, 20, 30):
        journal.log(step, "train", {"loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"step": 40, "ev')
    Journal(tmp_path, 100, 20)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [10, 20]


def test_numbers_that_json_cannot_say_are_words(tmp_path):
    journal = Journal(tmp_path, 100, 0)
    journal.log(1, "train", {"loss": math.nan, "norm": math.inf})
    (line,) = read_log(tmp_path / "log.jsonl")
    assert (line["loss"], line["norm"]) == ("nan", "inf")


def test_a_missing_log_is_empty(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []


def test_the_meter_starts_again_after_each_reading():
    meter = RateMeter()
    meter.add(64, 0.0)
    assert meter.take()["images_per_s"] > 0
    assert meter.take() == {"images_per_s": 0.0, "loader_share": 0.0}
