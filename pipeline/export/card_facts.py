"""What the card of an export says about its runs: corpora, policies, and known precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from pipeline.curation.calibration import CurvePoint, read_calibration
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.export.card import CardFacts
from pipeline.gold.licenses import readme_license
from pipeline.run.info import read_run_info
from pipeline.run.store import RunStore
from pipeline.storage.files import is_local, local_path
from schemas.errors import ConfigError

PART = (
    "- These figures are about all labels that the policy chose of the run, before people took "
    "away, moved or drew any. Where this export has a part of them, or what people changed, they "
    "are not figures of that part."
)


def card_facts(
    runs: Sequence[RunStore], policies: Sequence[FilterPolicy], license: str
) -> CardFacts:
    """The facts of runs [N], each with its policy [N]; `license`: of the data, as the user says."""
    # The name alone: a path would tell about the machine.
    corpora = [str(run.plan().corpus).rstrip("/").rpartition("/")[2] for run in runs]
    rules = {policy.policy_id: asdict(policy) for policy in policies}
    return CardFacts(
        made_with=f"glipforge {version('glipforge')}",
        corpora=tuple(dict.fromkeys(corpora)),
        license=license or _license(runs),
        precision=_precisions(runs, policies),
        policies=tuple(rules.values()),
    )


def _precisions(runs: Sequence[RunStore], policies: Sequence[FilterPolicy]) -> tuple[str, ...]:
    """Sentences about every run; none where nothing was measured of any."""
    # The name alone, as above; of one run there is nothing to tell apart.
    names = [f", run {run.uri.rstrip('/').rpartition('/')[2]}" for run in runs]
    names = names if len(runs) > 1 else [""]
    parts = [_precision(*one) for one in zip(runs, policies, names, strict=True)]
    if not any(parts):
        return ()
    lines = [
        line
        for part, policy, name in zip(parts, policies, names, strict=True)
        for line in part or [f"- policy {policy.name}{name}: no precision was measured."]
    ]
    return (*lines, PART)


def _license(runs: Sequence[RunStore]) -> str:
    """What the data of the runs states; nothing where none does."""
    found = []
    for run in runs:
        gold = read_run_info(run).gold
        if gold is not None and gold.licenses:
            # How many images have which, of those that are exported, is the card's to count.
            found += [name for name in gold.licenses if name != "not stated"]
            continue
        corpus = str(run.plan().corpus)
        if is_local(corpus):
            place = Path(local_path(corpus))
            stated = readme_license(place if place.is_dir() else place.parent)
            found += [stated] * bool(stated)
    return "; ".join(dict.fromkeys(found))


def _precision(run: RunStore, policy: FilterPolicy, of_run: str) -> list[str]:
    """What the run's calibration of a policy says, for people; nothing where there is none."""
    try:
        found = read_calibration(run, policy)
    except ConfigError:
        return [
            f"- policy {policy.name}{of_run}: its calibration no longer holds, since annotations, "
            "layers or verdicts changed after it: nothing is said about these labels."
        ]
    if found is None:
        return []
    whole = found.curve[-1]
    lines = [
        f"- policy {found.policy_id}{of_run}: {found.right:,} of {found.drawn:,} judged labels are "
        f"right ({found.method}); precision of all {found.population:,} labels"
        f"{_estimate(whole)} between {whole.low:.1%} and {whole.high:.1%}, with confidence "
        f"{found.confidence:g}."
    ]
    promise = None if policy.min_precision is None else found.promise(policy.min_precision)
    if promise is not None and promise.threshold is not None:
        sure = f", with confidence {promise.confidence:g}" if found.method != "gold" else ""
        which = "which" if found.population == found.run_labels else "those that gold judges"
        lines.append(
            f"- The policy keeps labels above score {promise.threshold:g}, of {which} at least "
            f"{promise.precision:.0%} are right{sure}."
        )
    if found.population < found.run_labels:
        lines.append(f"- Nothing is said about the other {found.run_labels - found.population:,}.")
    return lines


def _estimate(whole: CurvePoint) -> str:
    return "" if whole.precision is None else f" {whole.precision:.1%},"
