"""Policies that follow a run: scores of two teachers cannot be compared, so a threshold that fits
one may keep all or nothing of another; and a class asked for by name is no word of a caption.
"""

from __future__ import annotations

import difflib
from dataclasses import replace

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import RECOMMENDED, default_policy, get_policy
from pipeline.gold.gold_set import GoldKind
from pipeline.phrases.class_list import planned_classes
from pipeline.run.info import IMPORTED, read_run_info
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.grounder import ScoreFacts


def run_scores(run: RunStore) -> ScoreFacts | None:
    """What the scores of a run's teacher are; None for a run that does not say."""
    return read_run_info(run).scores


def policy_of(run: RunStore) -> str:
    """The preset that keeps all labels of an imported run; `default` for every other."""
    plan = run.plan()
    if not plan.corpus_format.startswith(IMPORTED):
        return "default"
    return "people-boxes" if plan.config.get("kind") == GoldKind.DETECTION else "people"


def policy_for(run: RunStore, name: str | None) -> FilterPolicy:
    """A policy for one run: as `get_policy`, the threshold that the run's teacher recommends, and
    for a run of a class list as `for_classes`.

    Args:
        run: Its run.json says what its teacher recommends.
        name: `recommended`: the default rules with that threshold; or the path of a JSON file,
            whose `score_threshold` may be "recommended"; or a preset; None: that of `policy_of`.

    Raises:
        ConfigError: as `get_policy`; or the run does not say what its teacher recommends.
    """
    wanted = policy_of(run) if name is None else name
    policy = with_scores(wanted, run_scores(run), whose=run.url("run.json"))
    return policy if planned_classes(run.plan().config) is None else for_classes(policy)


def for_classes(policy: FilterPolicy) -> FilterPolicy:
    """The policy without what it says of the words of captions: a class such as "view", "front" or
    "7" was asked for by name, and one alone is no long span. `drop_words` stays: it names words."""
    return replace(policy, drop_lists=(), drop_nonwords=False, long_span_share=1.0)


def unknown_classes(run: RunStore, policy: FilterPolicy) -> str:
    """A sentence about thresholds of classes that the run was not asked for; "" without any."""
    classes = planned_classes(run.plan().config)
    if classes is None:
        return ""
    known = {name.lower() for name in classes.names}
    unknown = [name for name in policy.class_thresholds if name not in known]
    if not unknown:
        return ""
    near = difflib.get_close_matches(unknown[0], known, n=1)
    guess = f"; is {near[0]!r} meant?" if near else ""
    return (
        f"policy {policy.name!r}: class_thresholds has {', '.join(map(repr, unknown[:8]))}"
        f"{' and more' if len(unknown) > 8 else ''}, not among this run's classes: without effect"
        f"{guess}"
    )


def with_scores(name: str, scores: ScoreFacts | None, *, whose: str) -> FilterPolicy:
    """As `policy_for`, of what a teacher says of its scores; `whose` names it in errors.

    Raises:
        ConfigError: as `policy_for`.
    """

    def recommended() -> float:
        return _threshold(scores, whose)

    if name == RECOMMENDED:
        return replace(default_policy(), name=RECOMMENDED, score_threshold=recommended())
    return get_policy(name, recommended=recommended)


def _threshold(scores: ScoreFacts | None, whose: str) -> float:
    if scores is None:
        raise ConfigError(
            f"score_threshold recommended: {whose} does not say what its teacher recommends; give "
            "a number"
        )
    return scores.recommended_threshold
