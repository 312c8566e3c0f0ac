"""What `train.json` may hold."""

from __future__ import annotations

import json

import pytest

from model.training.state import TrainingState
from schemas.checked import from_json, to_plain
from schemas.errors import ConfigError

AT = "2026-01-31T12:00:00+00:00"
LINE = {"step": 3, "event": "train", "at": AT, "loss": "nan", "box": 1}
STATE = {
    **{"status": "running", "step": 3, "total_steps": 9, "first_step": 0, "pid": 7, "host": "a"},
    **{"started_at": AT, "updated_at": AT, "last": LINE, "drops": {"box: too small": 2}},
}


def test_it_comes_back_as_it_was() -> None:
    state = from_json(TrainingState, json.dumps(STATE), where="train.json")
    assert (state.last, state.evaluation) == (LINE, {})
    assert from_json(TrainingState, json.dumps(to_plain(state)), where="train.json") == state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": -1}, "step must be"),
        ({"step": "3"}, "step must be"),
        ({"pid": 2**31}, "pid must be"),
        ({"status": "asleep"}, "status must be"),
        ({"version": 2}, "version must be"),
        ({"sleep": 1}, "sleep"),
        ({"last": {"at": AT}}, "last.step must be a number of steps, got None"),
        ({"last": LINE | {"at": "noon"}}, "last.at must be a time such as .*, got 'noon'"),
        ({"evaluation": LINE | {"at": "2026-01-31"}}, "evaluation.at must be a time"),
        ({"drops": {"x": "y"}}, "drops"),
    ],
)
def test_each_field_is_held_to_what_it_is(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_json(TrainingState, json.dumps(STATE | change), where="train.json")
