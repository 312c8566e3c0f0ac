"""The progress panel: how far the review is, who judged what, and what came out by score.

Imported only by the App server, after FiftyOne.
"""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from pipeline.curation.box_state import Review
from pipeline.review.app.answers import store_of
from pipeline.review.sync.dataset.views import ensure_mine
from pipeline.review.sync.label.documents import DETECTIONS
from pipeline.review.sync.label.notes import LEVEL, SHOWN
from pipeline.review.sync.verdict.progress import as_json, read_progress

VERBS = {
    "accept_above": "Accept all above a score",
    "undo_any": "Take back a change",
    "export_view": "Export this view",
    "sort_by_likeness": "Show what looks like this",
    "show_duplicates": "Show duplicates",
    "new_phrase": "New phrase",
    "split_phrase": "Split a phrase",
    "merge_phrases": "Merge phrases",
    "copy_box": "Copy boxes",
}
"""Operators that the panel starts."""


class ReadProgress(foo.Operator):  # type: ignore[misc]
    """Gives the page how far the review is."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="read_progress", label="Progress", unlisted=True)

    def execute(self, ctx: Any) -> dict[str, Any]:
        return as_json(read_progress(store_of(ctx), ctx.dataset._doc.id))


class Begin(foo.Operator):  # type: ignore[misc]
    """What a reviewer's page starts with: the saved view of their own work, and whether the policy
    leaves out boxes that the grid then hides."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="begin", label="Begin", unlisted=True)

    def execute(self, ctx: Any) -> dict[str, Any]:
        reviewer = store_of(ctx).reviewer
        name, made = ensure_mine(ctx.dataset, reviewer)
        below = {f"{DETECTIONS}.{LEVEL}": {"$lt": SHOWN}}
        hidden = store_of(ctx).samples.find_one(below, {"_id": 1})
        return {"made": made, "view": name, "hides": hidden is not None}


class ProgressPanel(foo.Panel):  # type: ignore[misc]
    """Shows the progress, the statistics, and buttons for what concerns many boxes."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name="progress_panel",
            label="Review",
            icon="checklist",
            surfaces="grid modal",
            help_markdown="How far the review is, and what can be done with many boxes at once.",
        )

    def on_load(self, ctx: Any) -> None:
        self.update(ctx)

    def on_change_current_sample(self, ctx: Any) -> None:
        self.update(ctx)

    def update(self, ctx: Any) -> None:
        """Count anew."""
        store = store_of(ctx)
        progress = read_progress(store, ctx.dataset._doc.id)
        rows = by_score(store.samples)
        lines = [
            f"**{progress.sentence()}**",
            "",
            f"judged by {store.reviewer}: {progress.own_boxes:,}",
            "",
            "| score | accepted | changed | rejected | right as they were |",
            "|---|---|---|---|---|",
            *(f"| {row} |" for row in rows),
        ]
        ctx.panel.state.text = "\n".join(lines if rows else lines[:3])

    def start(self, ctx: Any) -> None:
        """Open the form of one of the operators."""
        ctx.prompt(f"@glipforge/review/{ctx.params['verb']}")

    def render(self, ctx: Any) -> types.Property:
        panel = types.Object()
        panel.md(ctx.panel.state.text or "", name="text")
        panel.btn("again", label="Count anew", on_click=self.update)
        for verb, label in VERBS.items():
            panel.btn(verb, label=label, on_click=self.start, params={"verb": verb})
        return types.Property(panel)


def by_score(samples: Any) -> list[str]:
    """A table row for each tenth of the score that people judged a box of, the highest first."""
    tenth = {"$min": [9, {"$floor": {"$multiply": ["$box.confidence", 10]}}]}
    found: dict[int, dict[str, int]] = {}
    stages = [
        {"$project": {"box": f"${DETECTIONS}"}},
        {"$unwind": "$box"},
        {"$match": {"box.confidence": {"$ne": None}, "box.review": {"$nin": [None, "pending"]}}},
        {"$group": {"_id": {"tenth": tenth, "word": "$box.review"}, "n": {"$sum": 1}}},
    ]
    for raw in samples.aggregate(stages, allowDiskUse=True):
        found.setdefault(int(raw["_id"]["tenth"]), {})[str(raw["_id"]["word"])] = int(raw["n"])
    rows = []
    for number in sorted(found, reverse=True):
        words = (Review.ACCEPTED, Review.FIXED, Review.REJECTED)
        counts = [found[number].get(word, 0) for word in words]
        share = counts[0] / sum(counts)
        rows.append(" | ".join([f"{number / 10:.1f}+", *map(str, counts), f"{share:.0%}"]))
    return rows
