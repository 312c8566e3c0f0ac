"""What is named after a review command finds the dataset that the command worked on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.review.open import Open, _welcome
from jobs.review.same_place import same_place


def test_only_what_was_given_is_named_as_a_shell_takes_it() -> None:
    assert same_place(None, None) == ""
    assert same_place("1-audit", None) == " --dataset 1-audit"
    assert same_place("it's mine", Path("my reviews")) == (
        """ --dataset 'it'"'"'s mine' --home 'my reviews'"""
    )


@pytest.mark.parametrize(
    "options, pull",
    [
        ({}, "glipforge review pull runs/1"),
        (
            {"dataset": "1-audit", "home": Path("demo-run/review")},
            "glipforge review pull runs/1 --dataset 1-audit --home demo-run/review",
        ),
    ],
)
def test_an_opened_dataset_is_the_one_that_the_named_pull_reads(
    options: dict[str, Any], pull: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server: Any = SimpleNamespace(tunnel=lambda: "ssh")
    _welcome(Open(run="runs/1", browser=False, **options), server, "http://here", "ada")
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"Ctrl-C ends the app and its database; then: {pull}"
    )
