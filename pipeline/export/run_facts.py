"""What the exported runs say of themselves: for the card, and for the ids of categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from pipeline.curation.calibration import read_calibration
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.export.card import CardFacts
from pipeline.run.info import KnownCategories, read_run_info
from pipeline.run.store import RunStore
from schemas.errors import ConfigError


def card_facts(
    runs: Sequence[RunStore], policies: Sequence[FilterPolicy], images_license: str
) -> CardFacts:
    """Who made the labels of some runs, by which rules, and how precise they are said to be."""
    # The name alone: a path would tell about the machine.
    corpora = [str(one.plan().corpus).rstrip("/").rpartition("/")[2] for one in runs]
    rules = {policy.policy_id: asdict(policy) for policy in policies}
    return CardFacts(
        made_with=f"glipforge {version('glipforge')}",
        corpora=tuple(dict.fromkeys(corpora)),
        license=images_license,
        precision=tuple(
            line
            for one, policy in zip(runs, policies, strict=True)
            for line in _precision(one, policy)
        ),
        policies=tuple(rules.values()),
    )


def known_categories(runs: Sequence[RunStore]) -> KnownCategories | None:
    """Those of an imported run; None where several runs are merged."""
    return read_run_info(runs[0]).categories if len(runs) == 1 else None


def _precision(run: RunStore, policy: FilterPolicy) -> list[str]:
    """What the run's calibration of a policy says, for people; nothing where there is none."""
    try:
        found = read_calibration(run, policy)
    except ConfigError:
        return [
            f"A calibration of policy {policy.name} was made of other annotations than the run "
            "has now: it says nothing about these labels."
        ]
    if found is None:
        return []
    whole = found.curve[-1]
    lines = [
        f"- policy {found.policy_id}: {found.right:,} of {found.drawn:,} judged labels are right "
        f"({found.method}); of all {found.population:,} labels between {whole.low:.1%} and "
        f"{whole.high:.1%}, with confidence {found.confidence:g}."
    ]
    if found.population < found.run_labels:
        lines.append(f"- Nothing is said about the other {found.run_labels - found.population:,}.")
    promise = None if policy.min_precision is None else found.promise(policy.min_precision)
    if promise is not None and promise.threshold is not None:
        lines.append(
            f"- The policy keeps labels above score {promise.threshold:g}, of which at least "
            f"{promise.precision:.0%} are right, with confidence {promise.confidence:g}."
        )
    return lines
