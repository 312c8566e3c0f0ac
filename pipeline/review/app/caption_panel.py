"""The caption panel: the caption in the colours of the boxes, with the best score of every phrase.

Imported only by the App server, after FiftyOne.
"""

from __future__ import annotations

from html import escape
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from pipeline.images.palette import phrase_hex
from pipeline.review.app.caption_markup import caption_markup


class CaptionPanel(foo.Panel):  # type: ignore[misc]
    """Shows the caption of the open sample."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name="caption_panel",
            label="Caption",
            icon="subtitles",
            surfaces="grid modal",
            help_markdown="The caption; each phrase has the colour of its boxes. The bars are "
            "the teacher's best score for a phrase anywhere in the image.",
        )

    def on_load(self, ctx: Any) -> None:
        _show(ctx)

    def on_change_current_sample(self, ctx: Any) -> None:
        _show(ctx)

    def render(self, ctx: Any) -> types.Property:
        panel = types.Object()
        if ctx.panel.state.title:
            panel.plot(
                "chart",
                config={"displayModeBar": False},
                layout={
                    "title": {"text": ctx.panel.state.title, "x": 0.02, "font": {"size": 15}},
                    "margin": {"t": 110, "l": 120, "r": 10, "b": 30},
                    "xaxis": {"range": [0, 1]},
                    "yaxis": {"autorange": "reversed"},
                },
            )
        else:
            panel.md("Open a sample to see its caption.", name="hint")
        return types.Property(panel)


def _show(ctx: Any) -> None:
    if not ctx.current_sample:
        ctx.panel.state.title = ""
        return
    sample = ctx.dataset[ctx.current_sample]
    phrases = sample["phrases"] or []
    spans = [{"start": phrase.start, "end": phrase.end} for phrase in phrases]
    # An empty caption would look like "no sample".
    ctx.panel.state.title = caption_markup(sample["caption"] or "", spans) or "(no caption)"
    ctx.panel.data.chart = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [phrase.best_score for phrase in phrases],
            # The text is Plotly's markup; the numbers are the keys of the phrases.
            "y": [f"{index}: {escape(phrase.text)}" for index, phrase in enumerate(phrases, 1)],
            "marker": {"color": [phrase_hex(index) for index in range(len(phrases))]},
        }
    ]
