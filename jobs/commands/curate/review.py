"""Review the labels of a run in FiftyOne: push them, open the app, pull what people decided."""

from __future__ import annotations

import logging
from typing import Annotated

import tyro

from jobs.review.agree import Agree, agree_run
from jobs.review.assign import Assign, assign_run
from jobs.review.gold import Gold, gold_run
from jobs.review.open import Open, open_app
from jobs.review.pull import Pull, exit_code, pull_often, pull_run
from jobs.review.push import Push, push_run

EXAMPLES = (
    "glipforge review push runs/1 --policy default",
    "glipforge review open runs/1",
    "glipforge review pull runs/1",
    "glipforge review assign runs/1 --reviewers alice,bob --overlap 0.1",
    "glipforge review agree runs/1",
    "glipforge review gold runs/1 --gold flickr30k",
)
Config = (
    Annotated[Push, tyro.conf.subcommand("push")]
    | Annotated[Open, tyro.conf.subcommand("open")]
    | Annotated[Pull, tyro.conf.subcommand("pull")]
    | Annotated[Assign, tyro.conf.subcommand("assign")]
    | Annotated[Agree, tyro.conf.subcommand("agree")]
    | Annotated[Gold, tyro.conf.subcommand("gold")]
)


def run(config: Push | Open | Pull | Assign | Agree | Gold) -> int:
    """Run one of them; returns the exit code (1: some images could not be shown)."""
    _show_log()
    if isinstance(config, Push):
        return 1 if push_run(config).failures else 0
    if isinstance(config, Open):
        return open_app(config)
    if isinstance(config, Assign):
        return assign_run(config)
    if isinstance(config, Gold):
        return gold_run(config)
    if isinstance(config, Agree):
        return agree_run(config)
    return pull_often(config) if config.every else exit_code(pull_run(config))


def _show_log() -> None:
    """What the bridge does on its own account (fetching a server) is worth a line."""
    logger = logging.getLogger("pipeline.review")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)
