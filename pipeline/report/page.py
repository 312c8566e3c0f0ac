"""The HTML text of a run's report, from its statistics and sample pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from markupsafe import Markup

from pipeline.curation.label_counts import LabelCounts
from pipeline.curation.rules.filter_result import DropCounts
from pipeline.report.charts import COLORS, bars, histogram
from pipeline.report.pictures import SamplePicture
from pipeline.report.stats import PolicyStats, RunStats
from pipeline.report.template import fill

_NUM_FREQUENT = 25
N = TypeVar("N", int, float)


def report_page(
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    stats: RunStats,
    policy_id: str,
    pictures: Sequence[SamplePicture],
) -> str:
    """The whole page.

    Args:
        title: the run's address.
        facts: lines of the first table: teacher, corpus, dates.
        stats: content of RUN/stats.json; holds `policies[policy_id]`.
        policy_id: the curation that the page is about.
        pictures: of curated records.
    """
    annotations, policy = stats.annotations, stats.policies[policy_id]
    labels, drops, commits = policy.labels, policy.drops, stats.commits
    seconds = [(stage, round(s)) for stage, s in _ranked(commits.seconds)]
    return fill(
        "run",
        title=title,
        facts=[*facts, *_totals(stats, policy_id)],
        statuses=bars(_ranked(commits.statuses), title="pairs by status"),
        examples=sorted(commits.examples.items()),
        by_score=_score_chart(annotations, labels),
        by_number=_boxes_chart(annotations, labels),
        boxes_dropped=bars(_drops(drops), title="boxes by rule", color=COLORS[1]),
        pairs_dropped=bars(
            _ranked(drops.records_dropped), title="pairs by reason", color=COLORS[1]
        ),
        people=_people(policy),
        nouns=bars(labels.heads[:_NUM_FREQUENT], title="head nouns", color=COLORS[2]),
        phrases=bars(labels.phrase_texts[:_NUM_FREQUENT], title="phrases", color=COLORS[2]),
        phrase_statuses=bars(_ranked(annotations.phrase_statuses), title="all phrases by status"),
        pictures=pictures,
        seconds=bars(seconds, title="seconds of all workers by stage"),
    )


def _totals(stats: RunStats, policy_id: str) -> list[tuple[str, str]]:
    commits, annotations = stats.commits, stats.annotations
    labels = stats.policies[policy_id].labels
    mean = labels.boxes / labels.records if labels.records else 0.0
    return [
        ("state", "complete" if stats.is_complete else "not finished: committed units only"),
        ("rows", f"{commits.rows:,} in {commits.units:,} units"),
        ("candidates", f"{annotations.boxes:,} boxes for {annotations.phrases:,} phrases"),
        ("policy", policy_id),
        (
            "labels",
            f"{labels.boxes:,} boxes in {labels.records:,} pairs ({mean:.2f} per pair), "
            f"{labels.phrases_with_boxes:,} of {labels.phrases:,} phrases",
        ),
    ]


def _score_chart(annotations: LabelCounts, labels: LabelCounts) -> Markup:
    series = [("candidates", annotations.score_bins), ("labels", labels.score_bins)]
    return histogram(series, low=0, high=1, title="boxes by score", x_label="score")


def _boxes_chart(annotations: LabelCounts, labels: LabelCounts) -> Markup:
    series = [("candidates", annotations.boxes_per_record), ("labels", labels.boxes_per_record)]
    last = max((i for _, counts in series for i, n in enumerate(counts) if n), default=0)
    shown = [(name, counts[: last + 1]) for name, counts in series]
    return histogram(
        shown, low=0, high=last + 1, title="pairs by number of boxes", x_label="boxes per pair"
    )


def _drops(drops: DropCounts) -> list[tuple[str, int]]:
    rows = _ranked(drops.boxes_dropped)
    return rows + ([("(merged onto another)", drops.boxes_merged)] if rows else [])


def _people(policy: PolicyStats) -> Markup | None:
    applied = _ranked(policy.decisions_applied)
    return bars(applied, title="decisions of people") if applied else None


def _ranked(counts: Mapping[str, N]) -> list[tuple[str, N]]:
    return sorted(((k, n) for k, n in counts.items() if n), key=lambda item: (-item[1], item[0]))
