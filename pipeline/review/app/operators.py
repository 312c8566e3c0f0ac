"""Operators of the review plugin. Imported only by the App server, after FiftyOne.

The page calls them with the ids of the labels that its reviewer meant (`plugin/dist/page`), and
puts what they return into the open image. Without a page they take the selection, else what the
view shows of the open sample. They write by `verdicts` only; none takes a path or a file name.
"""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from bson import ObjectId
from fiftyone.operators import types

from pipeline.curation.box_state import PairReview, Review
from pipeline.review.app.answers import (
    answer,
    or_refused,
    or_told,
    store_of,
    stored_answer,
    undone_answer,
)
from pipeline.review.app.parameters import object_id, object_ids, whole_number
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.store.label_store import WriteRefused
from pipeline.review.sync.verdict.undo import undo_last
from pipeline.review.sync.verdict.verdicts import give_phrase, judge_boxes, judge_pair

Meant = dict[ObjectId, list[ObjectId]]
"""Sample -> the labels that are meant."""


def selected_labels(ctx: Any) -> Meant:
    """The selected boxes; while an image is open, of that image only."""
    out: Meant = {}
    for entry in ctx.selected_labels or ():
        if entry["field"] == BOXES and ctx.current_sample in (None, entry["sample_id"]):
            out.setdefault(ObjectId(entry["sample_id"]), []).append(ObjectId(entry["label_id"]))
    return out


def shown_pending(ctx: Any) -> Meant:
    """The pending boxes that the view shows of the open sample."""
    if not ctx.current_sample:
        return {}
    view = ctx.view.select(ctx.current_sample)
    shown = [ObjectId(label_id) for label_id in view.values(f"{BOXES}.detections.id", unwind=True)]
    document = store_of(ctx).document(ObjectId(ctx.current_sample))
    pending = {
        label.get("_id")
        for label in labels_of(document)
        if (label.get("review") or Review.PENDING) == Review.PENDING
    }
    return {ObjectId(ctx.current_sample): [key for key in shown if key in pending]}


def meant_labels(ctx: Any, *, shown: bool) -> Meant:
    """What the page says; without a page the selection, else (`shown`) what the view shows."""
    if ctx.params.get("label_ids") is not None:
        ids = object_ids(ctx.params, "label_ids")
        return {object_id(ctx.params.get("sample_id"), "sample_id"): ids}
    return selected_labels(ctx) or (shown_pending(ctx) if shown else {})


def drop_selection(ctx: Any) -> None:
    """Clear the selection, unless the page asks: it did so already, and what is selected now was
    clicked since."""
    if ctx.params.get("label_ids") is None:
        ctx.ops.clear_selected_labels()


def expected_of(ctx: Any) -> dict[ObjectId, dict[str, Any]]:
    """What the page showed of the labels."""
    seen = ctx.params.get("seen") or {}
    if not isinstance(seen, dict):
        raise WriteRefused(f"seen must be an object of label ids, got {seen!r:.100}")
    return {object_id(key, "seen"): shown for key, shown in seen.items()}


class _Judge(foo.Operator):  # type: ignore[misc]
    """Gives boxes a word."""

    word: Review
    verb: str

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name=f"{self.verb}_labels",
            label=f"{self.verb.capitalize()} boxes",
            description=f"{self.verb.capitalize()} the selected boxes, or the visible pending "
            "boxes of the open image",
            unlisted=True,
        )

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        meant = meant_labels(ctx, shown=True)
        if not any(meant.values()):
            ctx.ops.notify("select boxes, or open a sample with pending boxes", variant="warning")
            return {"changed": 0}
        store, group, written = store_of(ctx), ObjectId(), []
        for sample_id, ids in meant.items():
            written.append(
                judge_boxes(
                    store, sample_id, ids, self.word, expected=expected_of(ctx), group=group
                )
            )
        drop_selection(ctx)
        return answer(ctx, written)


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

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        meant = meant_labels(ctx, shown=False)
        if len(meant) != 1:
            inputs.view("problem", types.Warning(label=_one_sample_problem(meant)))
            return types.Property(inputs, view=types.View(label="Other phrase"))
        document = store_of(ctx).document(next(iter(meant)))
        inputs.view("caption", types.Notice(label=document.get("caption") or ""))
        choices = types.Dropdown()
        for index, phrase in enumerate(document.get("phrases") or ()):
            choices.add_choice(str(index), label=f"{index + 1}: {phrase['text']}")
        inputs.enum("phrase", choices.values(), required=True, label="Phrase", view=choices)
        return types.Property(inputs, view=types.View(label="Other phrase"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        meant = meant_labels(ctx, shown=False)
        if len(meant) != 1:
            problem = _one_sample_problem(meant)
            ctx.ops.notify(problem, variant="warning")
            return {"changed": 0, "refused": problem}
        ((sample_id, ids),) = meant.items()
        written = give_phrase(
            store_of(ctx),
            sample_id,
            ids,
            whole_number(ctx.params, "phrase"),
            expected=expected_of(ctx),
        )
        drop_selection(ctx)
        return answer(ctx, [written])


def _one_sample_problem(meant: Meant) -> str:
    return f"select boxes of one sample first; {len(meant)} samples are selected"


class JudgeImage(foo.Operator):  # type: ignore[misc]
    """Calls the open image done, bad with a reason, missing something, or open again."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="judge_image",
            label="Verdict on the image",
            description="Done, bad with a reason, something missing, or open again",
            icon="task_alt",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        choices = types.RadioGroup()
        for word in PairReview:
            choices.add_choice(str(word), label=str(word))
        inputs.enum("word", choices.values(), required=True, label="Verdict", view=choices)
        inputs.str("reason", required=False, label="Reason (bad needs one)")
        return types.Property(inputs, view=types.View(label="Verdict on the image"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        sample_id = ctx.params.get("sample_id") or ctx.current_sample
        if not sample_id:
            ctx.ops.notify("open an image first", variant="warning")
            return {"changed": 0}
        word = str(ctx.params.get("word"))
        if word not in set(PairReview):
            words = ", ".join(PairReview)
            raise WriteRefused(f"word must be one of {words}, got {word!r:.100}")
        written = judge_pair(
            store_of(ctx),
            object_id(sample_id, "sample_id"),
            PairReview(word),
            reason=ctx.params.get("reason") or "",
        )
        return answer(ctx, [written])


class UndoLast(foo.Operator):  # type: ignore[misc]
    """Takes back the reviewer's last click, from the journal."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="undo_last",
            label="Undo my last change",
            description="Takes back your last verdict, edit or image verdict",
            icon="undo",
        )

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        undone = undo_last(store_of(ctx), ctx.dataset._doc.id)
        return undone_answer(ctx, undone)


class ReadSample(foo.Operator):  # type: ignore[misc]
    """Gives the page the labels of an image as they are stored now."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="read_sample", label="Read an image", unlisted=True)

    def execute(self, ctx: Any) -> dict[str, Any]:
        try:
            sample_id = object_id(ctx.params.get("sample_id"), "sample_id")
            return stored_answer(store_of(ctx).document(sample_id))
        except WriteRefused as error:
            return {"refused": str(error)}
