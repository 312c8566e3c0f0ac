"""Order labels by how likely they are wrong, with reasons, for people to look at first.

Writes RUN/trust/queue-<policy>.parquet. The order is learnt from the run's verdicts where there are
enough, else from fixed weights; it proves nothing about the run (`audit` and `calibrate` do).
"""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import asdict, dataclass
from shlex import quote

import tyro

from jobs.arguments import Run
from schemas.redaction import shown

EXAMPLES = ("glipforge queue runs/1 --size 500",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge queue`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    policy: str = "default"
    """Whose labels are looked at: a preset or a JSON file."""
    size: int = 1000
    """The most suspicious so many."""
    show: int = 10
    """Lines to print."""
    json: bool = False
    """Print the whole queue as JSON lines."""


def run(config: Config) -> int:
    """Make and write the queue; returns 0."""
    from jobs.progress_bar import reading_bar
    from pipeline.curation.decisions import load_decisions
    from pipeline.curation.recommended import policy_for
    from pipeline.run.open import open_run
    from pipeline.trust.queue import make_queue
    from pipeline.trust.suspects import write_queue
    from schemas.errors import ConfigError

    if config.show < 0:
        raise ConfigError(f"show must be 0 or more, got {config.show}")
    labelled = open_run(config.run)
    policy = policy_for(labelled, config.policy)
    with reading_bar("look for errors", labelled.num_records()) as progress:
        found, judge = make_queue(
            labelled,
            policy,
            load_decisions(labelled),
            size=config.size,
            progress=progress,
        )
    where = write_queue(labelled, policy, found)
    if config.json:
        for one in found:
            print(json_module.dumps(asdict(one), ensure_ascii=False))
        return 0
    for one in found[: config.show]:
        what = one.box_id or f"{one.record_id} (nothing boxed yet)"
        reasons = "; ".join(one.queue_reasons)
        print(shown(f"{one.queue_score:.2f}  {what}  {one.phrase!r}: {reasons}"))
    how = f"learnt from {judge.judged} verdicts" if judge.judged else "fixed weights"
    if judge.columns:
        how += f", with {', '.join(judge.columns)}"
    for note in judge.notes:
        print(f"glipforge queue: {note}", file=sys.stderr)
    print(f"{len(found):,} labels and gaps, the most suspicious first, {how}; written {where}")
    words = f"{quote(config.run)} --policy {quote(config.policy)} --queue errors"
    print(f"next: glipforge review push {words}")
    return 0
