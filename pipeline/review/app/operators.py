"""Operators of the review plugin. Imported only by the App server, after FiftyOne.

The page calls them with the ids of the labels that its reviewer meant (`plugin/dist/page`), and
puts what they return into the open image. Without a page they take the selection, else what the
view shows of the open sample. They write by `verdicts` only; none takes a path or a file name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC
from functools import wraps
from typing import Any

import fiftyone.operators as foo
from bson import ObjectId
from fiftyone.operators import types

from pipeline.curation.box_state import PairReview, Review
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.label.stamp import PAIR_FIELDS
from pipeline.review.sync.store.label_store import LabelStore, WriteRefused, Written
from pipeline.review.sync.verdict.undo import Undone, undo_last
from pipeline.review.sync.verdict.verdicts import give_phrase, judge_boxes, judge_pair

Meant = dict[ObjectId, list[ObjectId]]
"""Sample -> the labels that are meant."""
Execute = Callable[[Any, Any], dict[str, Any] | None]
"""An operator's answer to a call: operator, context -> what the page gets."""


def store_of(ctx: Any) -> LabelStore:
    """The open dataset, written in the name of this process's reviewer."""
    return LabelStore(ctx.dataset._sample_collection)


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
        ids = [ObjectId(label_id) for label_id in ctx.params["label_ids"]]
        return {ObjectId(ctx.params["sample_id"]): ids}
    return selected_labels(ctx) or (shown_pending(ctx) if shown else {})


def expected_of(ctx: Any) -> dict[ObjectId, dict[str, Any]]:
    """What the page showed of the labels."""
    return {ObjectId(key): seen for key, seen in (ctx.params.get("seen") or {}).items()}


def stored_answer(document: dict[str, Any], changed: int = 0) -> dict[str, Any]:
    """A sample as the page's refresh takes it."""
    labels = {
        str(label["_id"]): {key: value for key, value in label.items() if key != "_id"}
        for label in labels_of(document)
        if isinstance(label.get("_id"), ObjectId)
    }
    moment = document["last_modified_at"].replace(tzinfo=UTC)
    return {
        "changed": changed,
        "labels": labels,
        "fields": {name: document.get(name) for name in (*PAIR_FIELDS, "phrases")},
        "last_modified_at": round(moment.timestamp() * 1000),
    }


def answer(ctx: Any, written: Sequence[Written]) -> dict[str, Any]:
    """What an operator that wrote returns."""
    changed = sum(len(entry.changed) for entry in written)
    if "sample_id" not in ctx.params or not written:
        return {"changed": changed}
    return stored_answer(dict(written[-1].after), changed)


def refused(ctx: Any, error: WriteRefused) -> dict[str, Any]:
    """What an operator that wrote nothing returns: why, and what there is now."""
    if "sample_id" not in ctx.params:
        ctx.ops.notify(str(error), variant="error")
        return {"changed": 0, "refused": str(error)}
    try:
        document = store_of(ctx).document(ObjectId(ctx.params["sample_id"]))
    except WriteRefused:
        return {"changed": 0, "refused": str(error)}
    return {**stored_answer(document), "refused": str(error)}


def or_refused(execute: Execute) -> Execute:
    """An operator's `execute` whose refused write is what it returns."""

    @wraps(execute)
    def execute_or_say(self: Any, ctx: Any) -> dict[str, Any] | None:
        try:
            return execute(self, ctx)
        except WriteRefused as error:
            return refused(ctx, error)

    return execute_or_say


def undone_answer(ctx: Any, undone: Undone) -> dict[str, Any]:
    """What an operator that took a click back returns."""
    changed = sum(len(entry.changed) for entry in undone.written)
    result: dict[str, Any] = {"changed": changed, "action": undone.action}
    for entry in undone.written:
        if str(entry.sample_id) == ctx.params.get("sample_id"):
            result |= stored_answer(dict(entry.after), changed)
    return result


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
        ctx.ops.clear_selected_labels()
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
            store_of(ctx), sample_id, ids, int(ctx.params["phrase"]), expected=expected_of(ctx)
        )
        ctx.ops.clear_selected_labels()
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
        written = judge_pair(
            store_of(ctx),
            ObjectId(sample_id),
            PairReview(ctx.params["word"]),
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
            return stored_answer(store_of(ctx).document(ObjectId(ctx.params["sample_id"])))
        except WriteRefused as error:
            return {"refused": str(error)}
