"""Policies that follow a run's teacher: scores of two teachers cannot be compared, so a threshold
that fits one may keep all or nothing of another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import default_policy, get_policy, policy_from_json
from pipeline.gold.gold_set import GoldKind
from pipeline.run.info import IMPORTED, read_run_info
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.grounder import ScoreFacts

RECOMMENDED = "recommended"


def run_scores(run: RunStore) -> ScoreFacts | None:
    """What the scores of a run's teacher are; None for a run that does not say."""
    return read_run_info(run).scores


def policy_of(run: RunStore) -> str:
    """The preset that keeps all labels of an imported run; `default` for every other."""
    plan = run.plan()
    if not plan.corpus_format.startswith(IMPORTED):
        return "default"
    return "people-boxes" if plan.config.get("kind") == GoldKind.DETECTION else "people"


def policy_for(run: RunStore, name: str) -> FilterPolicy:
    """A policy for one run: as `get_policy`, and the threshold that the run's teacher recommends.

    Args:
        run: Its run.json says what its teacher recommends.
        name: `recommended`: the default rules with that threshold; or the path of a JSON file,
            whose `score_threshold` may be "recommended"; or a preset.

    Raises:
        ConfigError: as `get_policy`; or the run does not say what its teacher recommends.
    """
    return with_scores(name, run_scores(run), whose=run.url("run.json"))


def with_scores(name: str, scores: ScoreFacts | None, *, whose: str) -> FilterPolicy:
    """As `policy_for`, of what a teacher says of its scores; `whose` names it in errors.

    Raises:
        ConfigError: as `policy_for`.
    """
    if name == RECOMMENDED:
        threshold = _threshold(scores, whose)
        return replace(default_policy(), name=RECOMMENDED, score_threshold=threshold)
    if name.endswith(".json"):
        try:
            raw = json.loads(Path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return get_policy(name)  # which says what is wrong with it
        if isinstance(raw, dict) and raw.get("score_threshold") == RECOMMENDED:
            raw["score_threshold"] = _threshold(scores, whose)
            return policy_from_json(json.dumps(raw), where=name)
    return get_policy(name)


def _threshold(scores: ScoreFacts | None, whose: str) -> float:
    if scores is None:
        raise ConfigError(
            f"score_threshold recommended: {whose} does not say what its teacher recommends; give "
            "a number"
        )
    return scores.recommended_threshold
