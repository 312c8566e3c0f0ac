"""State the precision of a run's labels, from an audit that people judged or from gold.

Writes RUN/trust/calibration-<rules>.json: for each precision asked for the smallest threshold that
holds it with confidence (or that none does), the curve with exact intervals, reliability, and the
map from scores to probabilities. A page with the plots stands beside it.
"""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from jobs.arguments import DirName, FileName, Run
from schemas.errors import ConfigError
from schemas.gold_format import GoldFormat

if TYPE_CHECKING:
    from pipeline.curation.calibration import Calibration, StatedPromise
    from pipeline.curation.rules.policy import FilterPolicy
    from pipeline.run.store import RunStore

EXAMPLES = (
    "glipforge calibrate runs/1",
    "glipforge calibrate runs/1 --gold val.json --precision 0.8 --precision 0.95",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge calibrate`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    policy: str = "default"
    """Whose labels are calibrated: the policy of the audit, or a stricter one."""
    audit: str = ""
    """Id of the audit; the one of the policy if not given."""
    gold: FileName = ""
    """Judge by gold boxes instead of by people."""
    gold_format: GoldFormat = "auto"
    """Format of the gold data."""
    image_root: DirName = ""
    """Where the file names of the gold data start; beside the file if not given."""
    precision: Annotated[tuple[float, ...], tyro.conf.UseAppendAction] = ()
    """A precision to be promised; may be given several times. 0.8, 0.9 and 0.95 if not given."""
    confidence: float = 0.95
    """Of the promises, over the draw of the audit."""
    missing_is_wrong: bool = False
    """Count drawn labels without a verdict as wrong, which keeps every promise true."""
    json: bool = False
    """Print the calibration as JSON."""


def run(config: Config) -> int:
    """Calibrate, write, and say what can be promised; returns 0."""
    from pipeline.curation.calibration import write_calibration
    from pipeline.curation.recommended import policy_for
    from pipeline.report.calibration_page import calibration_page
    from pipeline.run.open import open_run
    from pipeline.storage.files import write_bytes
    from schemas.checked import to_plain

    labelled = open_run(config.run)
    policy = policy_for(labelled, config.policy)
    found = (_of_gold if config.gold else _of_audit)(config, labelled, policy)
    where = write_calibration(labelled, policy, found)
    page = where.removesuffix(".json") + ".html"
    write_bytes(page, calibration_page(found, title=f"calibration of {config.run}").encode())
    if config.json:
        print(json_module.dumps(to_plain(found), indent=1, sort_keys=True))
        return 0
    for line in lines(found):
        print(line)
    print(f"written {where} and {page}")
    return 0


def _of_audit(config: Config, labelled: RunStore, policy: FilterPolicy) -> Calibration:
    from pipeline.curation.decisions import load_decisions
    from pipeline.trust.audit_sample import find_audit
    from pipeline.trust.calibrate import calibrate_audit
    from pipeline.trust.calibration_figures import PRECISIONS

    return calibrate_audit(
        labelled,
        find_audit(labelled, policy, config.audit),
        policy,
        load_decisions(labelled),
        precisions=config.precision or PRECISIONS,
        confidence=config.confidence,
        missing_is_wrong=config.missing_is_wrong,
    )


def _of_gold(config: Config, labelled: RunStore, policy: FilterPolicy) -> Calibration:
    from jobs.progress_bar import reading_bar
    from pipeline.curation.calibration import base_policy
    from pipeline.evaluation.gold_truth import judged_by_gold
    from pipeline.gold import load_gold
    from pipeline.trust.calibration_figures import PRECISIONS, make_calibration

    if config.audit:
        raise ConfigError(f"give either --audit or --gold, got {config.audit!r}, {config.gold!r}")
    gold = load_gold(config.gold, config.gold_format, image_root=config.image_root)
    with reading_bar("judge by gold", labelled.num_records()) as progress:
        labels, total = judged_by_gold(labelled, policy, gold, progress=progress)
    return make_calibration(
        labels,
        run=labelled,
        policy=base_policy(policy),
        teachers=tuple(sorted({c.teacher_id for c in labelled.commits().values()})),
        source=f"gold {config.gold}",
        method="gold",
        run_labels=total,
        precisions=config.precision or PRECISIONS,
        confidence=config.confidence,
    )


def lines(found: Calibration) -> list[str]:
    """What a calibration says, for people."""
    whole = found.curve[-1]
    share = "" if whole.precision is None else f"{whole.precision:.1%}"
    text = [
        f"policy {found.policy_id}, {found.source} ({found.method})",
        f"{found.right:,} of {found.drawn:,} judged labels are right; of all {found.population:,} "
        f"labels {share}, interval {whole.low:.1%} to {whole.high:.1%}",
    ]
    if found.population < found.run_labels:
        text.append(
            f"gold judges {found.population:,} of the run's {found.run_labels:,} labels: nothing "
            "is said about the others"
        )
    if found.unsure or found.missing:
        text.append(f"counted as wrong: {found.unsure} unsure, {found.missing} without a verdict")
    if found.agreement is not None:
        text.append(f"two reviewers agree on {found.agreement:.1%} of {found.twice} labels")
    text += [_line(promise, found.method) for promise in found.promises]
    if found.calibration_error is not None:
        text.append(
            f"taken as probabilities the scores are off by {found.calibration_error:.3f} on average"
        )
    return text


def _line(promise: StatedPromise, method: str) -> str:
    sure = "of these very labels" if method == "gold" else f"with confidence {promise.confidence:g}"
    if promise.threshold is None:
        if method == "gold":
            return f"precision >= {promise.precision:g}: at no threshold"
        return (
            f"precision >= {promise.precision:g}: no threshold qualifies {sure}; from "
            f"{promise.drawn} labels {promise.possible:.3f} could be promised"
        )
    return (
        f"precision >= {promise.precision:g} {sure}: above score {promise.threshold:g}, "
        f"{promise.labels:,} labels ({promise.right} of {promise.drawn} judged are right)"
    )
