"""Write one self-contained HTML page about a run: plots, drop reasons, sample pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import FileName, Run
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.run.store import RunStore


EXAMPLES = ("glipforge report runs/1 --pictures 24",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge report`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    policy: str = "default"
    """Whose labels are shown; curated first if they are not up to date."""
    out: FileName = ""
    """The page; RUN/report.html if not given."""
    pictures: int = 12
    """Sample pictures on the page."""


def run(config: Config) -> int:
    """Write the page; returns 0."""
    from jobs.progress_bar import reading_bar
    from pipeline.curation.curate import ensure_curated, iter_curated
    from pipeline.curation.recommended import policy_for
    from pipeline.report.page import report_page
    from pipeline.report.pictures import choose_samples, sample_pictures
    from pipeline.report.stats import merge_stats
    from pipeline.run.limits import image_access, image_limits
    from pipeline.run.open import open_run
    from pipeline.storage.files import write_bytes

    if config.pictures < 0:
        raise ConfigError(f"pictures must be 0 or more, got {config.pictures}")
    labelled = open_run(config.run)
    policy = policy_for(labelled, config.policy)
    with reading_bar("curate", labelled.num_records()) as progress:
        ensure_curated(labelled, policy, progress=progress)
    with reading_bar("statistics", labelled.num_records()) as progress:
        stats = merge_stats(labelled, [policy.policy_id], progress=progress)
    chosen = choose_samples(iter_curated(labelled, policy.policy_id), config.pictures)
    page = report_page(
        title=config.run,
        facts=[*_facts(labelled), *_reviews(labelled)],
        stats=stats,
        policy_id=policy.policy_id,
        pictures=sample_pictures(chosen, image_limits(labelled), image_access(labelled)),
    )
    out = config.out or labelled.writable("report.html")
    write_bytes(out, page.encode())
    print(f"written {out} ({len(page) / 1e6:.1f} MB)")
    return 0


def _reviews(labelled: RunStore) -> list[tuple[str, str]]:
    """What people's decisions say about the labels."""
    from pipeline.curation.decisions import load_decisions
    from pipeline.report.reviews import lines, review_stats

    decisions = load_decisions(labelled)
    if not decisions:
        return []
    stats = review_stats(labelled.iter_annotations(), decisions)
    return [] if stats is None else [("review", line) for line in lines(stats)]


def _facts(labelled: RunStore) -> list[tuple[str, str]]:
    from pipeline.curation.recommended import run_scores

    plan, commits = labelled.plan(), labelled.commits()
    teachers = sorted({commit.teacher_id for commit in commits.values()})
    times = sorted(commit.finished_at for commit in commits.values())
    facts = [("teacher", ", ".join(teachers))]
    if (scores := run_scores(labelled)) is not None:
        facts.append(
            ("its scores", f"{scores.meaning}. Recommended: {scores.recommended_threshold:g}")
        )
    if plan is not None:
        facts.append(("corpus", f"{plan.corpus} ({plan.corpus_format})"))
        facts.append(("plan", plan.fingerprint()))
    return [*facts, ("units committed", f"{times[0]} to {times[-1]}")]
