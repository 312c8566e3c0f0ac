"""Draw labels of a run for people to judge, so that its precision can be stated.

The draw is random by seed, each label with a known chance; what people are shown otherwise is not
random and never counts for a promise. The sample is a review queue of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Annotated

import tyro

from jobs.arguments import Run

EXAMPLES = (
    "glipforge audit runs/1 --size 300",
    "glipforge audit runs/1 --size 600 --strata score,phrase --seed 1",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge audit`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    policy: str = "default"
    """Whose labels are drawn: a preset or a JSON file."""
    size: int = 300
    """Labels to draw. 300 let 0.9 be promised where at most 21 of them are wrong."""
    strata: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """`score`, `phrase` or `score,phrase`: draw evenly over bands of the score, over frequent and
    rare nouns. A simple random sample promises more with as many labels; this sees rare things
    better."""
    seed: int = 0
    """The same seed draws the same labels."""
    workers: int = 0
    """Processes; 0: as many as pay."""


def run(config: Config) -> int:
    """Draw and write the sample; returns 0."""
    from jobs.progress_bar import reading_bar
    from pipeline.curation.recommended import policy_for
    from pipeline.run.open import open_run
    from pipeline.trust.audit import draw_audit
    from pipeline.trust.audit_sample import is_of, read_audits, write_audit

    labelled = open_run(config.run)
    policy = policy_for(labelled, config.policy)
    with reading_bar("count labels", labelled.num_records()) as progress:
        sample = draw_audit(
            labelled,
            policy,
            size=config.size,
            seed=config.seed,
            # Each once, in one order: the sample does not depend on how they were typed.
            strata=sorted({name.strip() for typed in config.strata for name in typed.split(",")}),
            workers=config.workers,
            progress=progress,
        )
    where = write_audit(labelled, sample)
    print(
        f"audit {sample.audit_id}: {len(sample.drawn):,} of {sum(sample.totals):,} labels of "
        f"policy {sample.policy_id}, in {len(sample.box_ids()):,} pairs"
    )
    for number, name in enumerate(sample.strata if not sample.is_simple else ()):
        drawn = sum(one.stratum == number for one in sample.drawn)
        print(f"  {name}: {drawn:,} of {sample.totals[number]:,}")
    print(f"written {where}")
    run, which = quote(config.run), ""
    own = sum(is_of(one, policy) for one in read_audits(labelled))
    if own > 1:
        which = f" --audit {sample.audit_id}"
        print(
            f"this policy has {own} audits now; a promise holds for one that is chosen before its "
            "verdicts are known, not for the best of several"
        )
    if config.policy != "default":
        which = f" --policy {quote(config.policy)}{which}"
    print(
        f"next: glipforge review push {run} --queue audit{which}; review open and review pull with "
        f"the --dataset that it names; glipforge calibrate {run}{which}"
    )
    return 0
