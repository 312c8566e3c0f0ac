"""Operators of the review plugin. Imported only by the App server, after FiftyOne.

They change labels by id (`set_label_values`), never by saving a sample: a stale save writes by
position and would overwrite what another reviewer did. None takes a path or a name of a file.
"""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from pipeline.curation.box_state import Review
from pipeline.review.sync.documents import BOXES, DETECTIONS

ICONS = {Review.ACCEPTED: "check", Review.REJECTED: "close"}


def selected_label_ids(ctx: Any) -> list[str]:
    """The selected labels of the `boxes` field."""
    return [entry["label_id"] for entry in ctx.selected_labels or () if entry["field"] == BOXES]


def pending_label_ids(ctx: Any) -> list[str]:
    """The boxes of the open sample, else of the selected samples, that nobody has judged."""
    sample_ids = [ctx.current_sample] if ctx.current_sample else list(ctx.selected or ())
    return [
        label.id
        for sample_id in sample_ids
        for label in _labels(ctx.dataset[sample_id])
        if (getattr(label, "review", None) or str(Review.PENDING)) == str(Review.PENDING)
    ]


def _labels(sample: Any) -> list[Any]:
    return [] if sample[BOXES] is None else list(sample[BOXES].detections)


class _Judge(foo.Operator):  # type: ignore[misc]
    """Gives the selected boxes a word; without a selection, every pending box of the sample."""

    word: Review
    verb: str

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name=f"{self.verb}_labels",
            label=f"{self.verb.capitalize()} boxes",
            description=f"{self.verb.capitalize()} the selected boxes, or every pending box of "
            "the open sample",
            icon=ICONS[self.word],
        )

    def resolve_placement(self, ctx: Any) -> types.Placement:
        return types.Placement(
            types.Places.SAMPLES_VIEWER_ACTIONS,
            types.Button(
                label=f"{self.verb.capitalize()} boxes", icon=ICONS[self.word], prompt=False
            ),
        )

    def execute(self, ctx: Any) -> dict[str, int]:
        label_ids = selected_label_ids(ctx) or pending_label_ids(ctx)
        if not label_ids:
            ctx.ops.notify("select boxes, or open a sample with pending boxes", variant="warning")
            return {"changed": 0}
        ctx.dataset.set_label_values(
            f"{DETECTIONS}.review", dict.fromkeys(label_ids, str(self.word))
        )
        ctx.ops.notify(f"{self.word}: {len(label_ids)} box(es)", variant="success")
        ctx.ops.reload_samples()
        return {"changed": len(label_ids)}


class AcceptLabels(_Judge):
    """Accept boxes."""

    word = Review.ACCEPTED
    verb = "accept"


class RejectLabels(_Judge):
    """Reject boxes."""

    word = Review.REJECTED
    verb = "reject"


class RelabelPhrase(foo.Operator):  # type: ignore[misc]
    """Gives the selected boxes to another phrase of their caption."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="relabel_phrase",
            label="Give boxes to another phrase",
            description="Choose the phrase of the caption that the selected boxes show",
            dynamic=True,
            icon="label",
        )

    def resolve_placement(self, ctx: Any) -> types.Placement:
        return types.Placement(
            types.Places.SAMPLES_VIEWER_ACTIONS,
            types.Button(label="Other phrase", icon="label", prompt=True),
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        problem, sample = _one_sample(ctx)
        if sample is None:
            inputs.view("problem", types.Warning(label=problem))
            return types.Property(inputs, view=types.View(label="Other phrase"))
        inputs.view("caption", types.Notice(label=sample["caption"]))
        choices = types.Dropdown()
        for index, phrase in enumerate(sample["phrases"] or ()):
            choices.add_choice(str(index), label=f"{index}: {phrase.text}")
        inputs.enum("phrase", choices.values(), required=True, label="Phrase", view=choices)
        return types.Property(inputs, view=types.View(label="Other phrase"))

    def execute(self, ctx: Any) -> dict[str, int]:
        problem, sample = _one_sample(ctx)
        if sample is None:
            ctx.ops.notify(problem, variant="warning")
            return {"changed": 0}
        index = int(ctx.params["phrase"])
        text = sample["phrases"][index].text
        label_ids = selected_label_ids(ctx)
        for attribute, value in (
            ("label", text),
            ("phrase_index", index),
            ("review", str(Review.FIXED)),
        ):
            ctx.dataset.set_label_values(
                f"{DETECTIONS}.{attribute}", dict.fromkeys(label_ids, value)
            )
        ctx.ops.notify(
            f"{len(label_ids)} box(es) now show {text!r}; reopen the sample to see it",
            variant="success",
        )
        ctx.ops.reload_samples()
        return {"changed": len(label_ids)}


def _one_sample(ctx: Any) -> tuple[str, Any]:
    """The sample of all selected boxes, or a sentence that says why there is none."""
    sample_ids = {
        entry["sample_id"] for entry in ctx.selected_labels or () if entry["field"] == BOXES
    }
    if len(sample_ids) != 1:
        return f"select boxes of one sample first; {len(sample_ids)} samples are selected", None
    return "", ctx.dataset[sample_ids.pop()]
