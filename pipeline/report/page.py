"""The HTML text of a run's report, from its statistics and sample pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipeline.report.charts import COLORS, bars, histogram
from pipeline.report.pictures import SamplePicture

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#28282c;background:#fafaf8;max-width:1000px;
margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;
margin-top:2.2rem;border-bottom:1px solid #dcdcd8}figure{display:inline-block;margin:0 1rem 1.2rem
0;vertical-align:top}figcaption{font-weight:600;margin-bottom:.3rem}svg{max-width:100%}
table{border-collapse:collapse;margin:.4rem 0}td,th{padding:.15rem .9rem .15rem 0;text-align:left;
vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}.legend span{
margin-right:1rem}.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
.legend,.none,.small{color:#606068;font-size:13px;margin:.1rem 0}.pictures img{width:100%}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:1rem}
.pictures div{background:#fff;border:1px solid #dcdcd8;padding:.4rem;overflow-wrap:anywhere}
code{overflow-wrap:anywhere}
"""
_NUM_FREQUENT = 25


def report_page(
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    stats: Mapping[str, Any],
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
    annotations, policy = stats["annotations"], stats["policies"][policy_id]
    labels = policy["labels"]
    sections = [
        _facts([*facts, *_totals(stats, policy_id)]),
        "<h2>Rows</h2>",
        bars(_ranked(stats["commits"]["statuses"]), title="pairs by status"),
        _examples(stats["commits"]["examples"]),
        "<h2>Labels</h2>",
        _score_chart(annotations, labels),
        _boxes_chart(annotations, labels),
        "<h2>What the rules dropped</h2>",
        bars(_drops(policy["drops"]), title="boxes by rule", color=COLORS[1]),
        bars(_ranked(policy["drops"]["records_dropped"]), title="pairs by reason", color=COLORS[1]),
        _people(policy),
        "<h2>Phrases with a kept label</h2>",
        bars(labels["heads"][:_NUM_FREQUENT], title="head nouns", color=COLORS[2]),
        bars(labels["phrase_texts"][:_NUM_FREQUENT], title="phrases", color=COLORS[2]),
        bars(_ranked(annotations["phrase_statuses"]), title="all phrases by status"),
        "<h2>Sample pictures</h2>",
        _pictures(pictures),
        "<h2>Where the time went</h2>",
        bars(
            [(stage, round(s)) for stage, s in _ranked(stats["commits"]["seconds"])],
            title="seconds of all workers by stage",
        ),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        + "".join(sections)
        + "</body></html>\n"
    )


def _totals(stats: Mapping[str, Any], policy_id: str) -> list[tuple[str, str]]:
    commits, annotations = stats["commits"], stats["annotations"]
    labels = stats["policies"][policy_id]["labels"]
    mean = labels["boxes"] / labels["records"] if labels["records"] else 0.0
    return [
        ("state", "complete" if stats["is_complete"] else "not finished: committed units only"),
        ("rows", f"{commits['rows']:,} in {commits['units']:,} units"),
        ("candidates", f"{annotations['boxes']:,} boxes for {annotations['phrases']:,} phrases"),
        ("policy", policy_id),
        (
            "labels",
            f"{labels['boxes']:,} boxes in {labels['records']:,} pairs ({mean:.2f} per pair), "
            f"{labels['phrases_with_boxes']:,} of {labels['phrases']:,} phrases",
        ),
    ]


def _facts(rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"<tr><th>{escape(k)}</th><td><code>{escape(v)}</code></td></tr>" for k, v in rows]
    return f"<table>{''.join(lines)}</table>"


def _examples(examples: Mapping[str, str]) -> str:
    if not examples:
        return ""
    lines = [
        f"<tr><td>{escape(status)}</td><td><code>{escape(text)}</code></td></tr>"
        for status, text in sorted(examples.items())
    ]
    return f'<p class="small">one example of each failure</p><table>{"".join(lines)}</table>'


def _score_chart(annotations: Mapping[str, Any], labels: Mapping[str, Any]) -> str:
    series = [("candidates", annotations["score_bins"]), ("labels", labels["score_bins"])]
    return histogram(series, low=0, high=1, title="boxes by score", x_label="score")


def _boxes_chart(annotations: Mapping[str, Any], labels: Mapping[str, Any]) -> str:
    series = [
        ("candidates", annotations["boxes_per_record"]),
        ("labels", labels["boxes_per_record"]),
    ]
    last = max((i for _, counts in series for i, n in enumerate(counts) if n), default=0)
    shown = [(name, counts[: last + 1]) for name, counts in series]
    return histogram(
        shown, low=0, high=last + 1, title="pairs by number of boxes", x_label="boxes per pair"
    )


def _drops(drops: Mapping[str, Any]) -> list[tuple[str, int]]:
    rows = _ranked(drops["boxes_dropped"])
    return rows + ([("(merged onto another)", drops["boxes_merged"])] if rows else [])


def _people(policy: Mapping[str, Any]) -> str:
    applied = {k: n for k, n in policy["decisions_applied"].items() if n}
    if not applied:
        return '<p class="small">no decisions of people yet: glipforge review push</p>'
    return bars(_ranked(applied), title="decisions of people")


def _pictures(pictures: Sequence[SamplePicture]) -> str:
    if not pictures:
        return '<p class="none">no pair has a label</p>'
    cells = []
    for picture in pictures:
        name = escape(picture.record_id)
        inner = (
            f'<img src="{picture.data_url}" alt="{name}">'
            if picture.data_url
            else f'<p class="none">{escape(picture.failure)}</p>'
        )
        cells.append(f'<div>{inner}<p class="small">{name}</p></div>')
    return f'<div class="pictures">{"".join(cells)}</div>'


def _ranked(counts: Mapping[str, Any]) -> list[tuple[str, int]]:
    return sorted(((k, n) for k, n in counts.items() if n), key=lambda item: (-item[1], item[0]))
