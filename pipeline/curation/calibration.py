"""What a calibration says: precision by threshold, the promises that hold, how each is known.

Made by `pipeline/trust`; read where a policy asks for a precision, and by whoever states one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pipeline.curation.agreement import Key
from pipeline.curation.decisions import load_decisions
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.standing_words import words_id
from pipeline.layers.columns import require_columns
from pipeline.run.store import RunStore
from pipeline.storage.files import exists, read_bytes
from schemas.checked import Share, checked, from_json, to_plain
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import canonical_json, fingerprint

FOLDER = "trust"
CALIBRATION_VERSION = 2


@checked(frozen=True, kw_only=True)
class StatedPromise:
    """Among all labels above `threshold` at least `precision` are right."""

    precision: Share
    confidence: Share
    """Over the draw of the sample."""
    threshold: Share | None
    """Labels with a greater score; null: no threshold qualifies."""
    labels: int
    """Labels of the population above it."""
    drawn: int
    right: int
    estimate: Share | None
    """Of the precision above it; null without a threshold."""
    low: Share
    high: Share
    """Interval of that estimate; without a threshold of the labels where the test began."""
    possible: Share
    """Without a threshold: the precision that could be promised there."""


@checked(frozen=True, kw_only=True)
class CurvePoint:
    """The labels above one threshold. Intervals hold for one point, not for one picked by eye."""

    threshold: Share
    labels: int
    drawn: int
    right: int
    precision: Share | None
    low: Share
    high: Share
    recall: Share | None = None
    """Of what gold names; null where only boxes were judged."""


@checked(frozen=True, kw_only=True)
class ReliabilityBin:
    """Drawn labels with scores in one band, and how many of them are right."""

    low_score: Share
    high_score: Share
    mean_score: Share | None
    drawn: int
    right: int
    labels: int
    precision: Share | None
    low: Share
    high: Share


@checked(frozen=True, kw_only=True)
class ClassPrecision:
    """One head noun: what was seen, and its precision drawn towards that of all labels."""

    noun: str
    drawn: int
    right: int
    precision: Share


@checked(frozen=True, kw_only=True)
class Calibration:
    """What one sample says about one policy on one run."""

    policy_id: str
    """Of the policy without its `min_precision`."""
    policy: dict[str, Any]
    annotations_id: str
    layers_id: str
    """The layers that the policy reads; empty without any."""
    judged: tuple[Key, ...]
    """record_id and box_id of the labels that people judged; none with gold."""
    words_id: str
    """Fingerprint of what people said about them; empty with gold."""
    teachers: tuple[str, ...]
    source: str
    """`audit <id>` or `gold <file>`."""
    method: Literal["simple random sample", "stratified sample", "gold"]
    confidence: Share
    population: int
    """Labels that the statements are about."""
    run_labels: int
    """Labels of the run; more than `population` where gold covers a part."""
    drawn: int
    right: int
    unsure: int
    """Drawn labels whose reviewer was not sure: wrong for the promises."""
    missing: int
    """Drawn labels without a verdict: likewise."""
    agreement: Share | None
    """Of two reviewers on the labels that both judged."""
    twice: int
    """How many those are."""
    promises: tuple[StatedPromise, ...]
    curve: tuple[CurvePoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    calibration_error: Share | None
    """Expected calibration error of the scores, taken as probabilities."""
    scores: tuple[float, ...]
    """Knots of the isotonic map, ascending..."""
    probabilities: tuple[float, ...]
    """...and the probability that a label of such a score is right; linear between knots."""
    classes: tuple[ClassPrecision, ...]
    version: int = CALIBRATION_VERSION

    @property
    def calibration_id(self) -> str:
        """Fingerprint of all it says."""
        return fingerprint(to_plain(self))

    def promise(self, precision: float) -> StatedPromise | None:
        """The answer for that precision; None where it was not asked for."""
        same = [one for one in self.promises if abs(one.precision - precision) < 1e-9]
        return same[0] if same else None


def base_policy(policy: FilterPolicy) -> FilterPolicy:
    """The policy whose labels are calibrated: the same rules without `min_precision`."""
    return policy if policy.min_precision is None else replace(policy, min_precision=None)


def calibration_path(run: RunStore, policy: FilterPolicy) -> str:
    """Where the calibration of a policy stands, whatever the policy is called."""
    return run.url(FOLDER, _file_name(policy))


def _file_name(policy: FilterPolicy) -> str:
    return f"calibration-{base_policy(policy).rules_id}.json"


def write_calibration(run: RunStore, policy: FilterPolicy, found: Calibration) -> str:
    """Write it beside the run; returns its address."""
    text = canonical_json(to_plain(found)) + "\n"
    return run.write(text.encode(), FOLDER, _file_name(policy))


def read_calibration(
    run: RunStore, policy: FilterPolicy, *, states: bool = True
) -> Calibration | None:
    """The calibration of a policy on this run; None where there is none.

    `states`: it is to state a precision, so the verdicts that it was made of must still stand;
    False where it only orders labels.

    Raises:
        DataError: the file is not one.
        ConfigError: it is of other rules, or it was made of other annotations, layers or verdicts
            than the run has now.
    """
    where = calibration_path(run, policy)
    if not exists(where):
        return None
    found = from_json(
        Calibration,
        read_bytes(where),
        where=where,
        what="calibration",
        version=CALIBRATION_VERSION,
        error=DataError,
        way_out="run glipforge calibrate again",
    )
    check_calibration(found, run, policy, where=where, states=states)
    return found


def check_calibration(
    found: Calibration, run: RunStore, policy: FilterPolicy, *, where: str, states: bool = True
) -> None:
    """Refuse a calibration that says nothing about this policy on this run, or no longer.

    Raises:
        ConfigError: names what differs.
    """
    wanted = base_policy(policy).policy_id
    if found.policy_id.rpartition("@")[2] != base_policy(policy).rules_id:
        raise ConfigError(
            f"{where} calibrates policy {found.policy_id}, not {wanted}; run glipforge calibrate "
            f"with that policy"
        )
    if found.annotations_id != run.annotations_id():
        raise ConfigError(
            f"{where} was made of other annotations (teacher {', '.join(found.teachers)}): the run "
            "has other rows now, and a calibration speaks only about those it was drawn from; "
            "audit and calibrate again"
        )
    if found.layers_id != require_columns(run, policy.layer_columns()):
        raise ConfigError(
            f"{where} was made of other layers ({found.layers_id}): the policy keeps other labels "
            "now; audit and calibrate again"
        )
    if states and found.judged and found.words_id != words_id(found.judged, load_decisions(run)):
        raise ConfigError(
            f"{where} was made of other verdicts: people judged labels of its sample again since; "
            "run glipforge calibrate again, with the same options"
        )


def precision_threshold(run: RunStore, policy: FilterPolicy) -> tuple[float | None, str]:
    """The score that a policy's `min_precision` asks for on this run, and the calibration's id;
    (None, "") for a policy that asks for none.

    Raises:
        ConfigError: the run has no calibration of these rules, or one that promises no such
            precision; the message says what could be promised.
    """
    if policy.min_precision is None:
        return None, ""
    found = read_calibration(run, policy)
    if found is None:
        raise ConfigError(
            f"min_precision {policy.min_precision} needs a calibration of the same rules on this "
            "run: glipforge audit RUN, judge what it drew, glipforge calibrate RUN, each with "
            "--policy and this policy"
        )
    promise = found.promise(policy.min_precision)
    if promise is None:
        known = ", ".join(str(one.precision) for one in found.promises)
        raise ConfigError(
            f"min_precision must be one of those that the calibration answers ({known}), got "
            f"{policy.min_precision}; run glipforge calibrate RUN with --precision "
            f"{policy.min_precision}"
        )
    if promise.threshold is None:
        raise ConfigError(
            f"min_precision {policy.min_precision}: no threshold of this run qualifies at "
            f"confidence {promise.confidence}; from {promise.drawn} drawn labels "
            f"{promise.possible:.3f} could be promised. Draw more labels, or label with a better "
            "teacher"
        )
    return promise.threshold, found.calibration_id
