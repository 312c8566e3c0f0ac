"""What operators give back: labels as they are stored now, or the sentence why nothing was written.

Imported only by the App server, after FiftyOne.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC
from functools import wraps
from typing import Any

from bson import ObjectId
from fiftyone.operators import types

from pipeline.review.app.parameters import object_id
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.label.stamp import PAIR_FIELDS, REVIEWED_AT, REVIEWER
from pipeline.review.sync.store.label_store import LabelStore, WriteRefused, Written
from pipeline.review.sync.verdict.undo import Undone

Execute = Callable[[Any, Any], dict[str, Any] | None]
"""An operator's answer to a call: operator, context -> what the page gets."""
Resolve = Callable[[Any, Any], types.Property]
"""An operator's form: operator, context -> what it asks for."""


def store_of(ctx: Any) -> LabelStore:
    """The open dataset, written in the name of this process's reviewer."""
    return LabelStore(ctx.dataset._sample_collection)


def stored_answer(document: dict[str, Any], changed: int = 0) -> dict[str, Any]:
    """A sample as the page's refresh takes it."""
    labels = {
        # What an undo took off the label must go from the page's copy too.
        str(label["_id"]): {
            REVIEWER: None,
            REVIEWED_AT: None,
            **{key: value for key, value in label.items() if key != "_id"},
        }
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
        document = store_of(ctx).document(object_id(ctx.params["sample_id"], "sample_id"))
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


def problem_form(title: str, sentence: str) -> types.Property:
    """A form that only says what is missing."""
    inputs = types.Object()
    inputs.view("problem", types.Warning(label=sentence))
    return types.Property(inputs, view=types.View(label=title))


def or_told(resolve: Resolve) -> Resolve:
    """An operator's form, or why there is none: FiftyOne asks for it before each call too."""

    @wraps(resolve)
    def resolve_or_say(self: Any, ctx: Any) -> types.Property:
        try:
            return resolve(self, ctx)
        except WriteRefused as error:
            return problem_form(self.config.label, str(error))

    return resolve_or_say
