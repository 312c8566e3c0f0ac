"""Operators on whole boxes and on views: copy, merge, accept above a score, undo any, export.

Imported only by the App server, after FiftyOne. Each can be called from Python, see docs/review.md.
"""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from bson import ObjectId
from fiftyone.operators import types

from pipeline.review.app.answers import (
    answer,
    or_refused,
    or_told,
    problem_form,
    store_of,
    undone_answer,
)
from pipeline.review.app.operators import meant_labels
from pipeline.review.app.parameters import object_id, share, whole_number
from pipeline.review.app.view_export import export_pairs
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.store.label_store import WriteRefused
from pipeline.review.sync.verdict.boxes import above, accept_above, copy_boxes, merge_phrases
from pipeline.review.sync.verdict.clicks import clicks
from pipeline.review.sync.verdict.phrases import join_phrases
from pipeline.review.sync.verdict.undo import undo_click

DEFAULT_SCORE = 0.8


def shown_labels(ctx: Any) -> dict[ObjectId, list[ObjectId]]:
    """Sample -> the boxes that the view and its filters show."""
    ids, labels = ctx.view.values(["id", f"{BOXES}.detections.id"])
    return {
        ObjectId(sample_id): [ObjectId(label_id) for label_id in of_sample or ()]
        for sample_id, of_sample in zip(ids, labels, strict=True)
    }


def open_sample(ctx: Any) -> ObjectId:
    """The sample that is meant.

    Raises:
        WriteRefused: none is open, or its id is none.
    """
    sample_id = ctx.params.get("sample_id") or ctx.current_sample
    if not sample_id:
        raise WriteRefused("open an image first")
    return object_id(sample_id, "sample_id")


def phrase_choices(ctx: Any) -> types.Dropdown:
    """The phrases of the open image."""
    choices = types.Dropdown()
    for index, phrase in enumerate(store_of(ctx).document(open_sample(ctx)).get("phrases") or ()):
        choices.add_choice(str(index), label=f"{index + 1}: {phrase['text']}")
    return choices


class CopyBox(foo.Operator):  # type: ignore[misc]
    """Copies boxes to another phrase of their caption."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="copy_box",
            label="Copy boxes to another phrase",
            description="The selected boxes belong to another phrase as well",
            dynamic=True,
            icon="content_copy",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        if len(meant_labels(ctx, shown=False)) != 1 or not ctx.current_sample:
            return problem_form("Copy boxes", "select boxes of the open image first")
        inputs = types.Object()
        choices = phrase_choices(ctx)
        inputs.enum("phrase", choices.values(), required=True, label="Phrase", view=choices)
        return types.Property(inputs, view=types.View(label="Copy boxes to another phrase"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        meant = meant_labels(ctx, shown=False)
        if len(meant) != 1:
            raise WriteRefused("select boxes of one image first")
        ((sample_id, ids),) = meant.items()
        written = copy_boxes(store_of(ctx), sample_id, ids, whole_number(ctx.params, "phrase"))
        ctx.ops.clear_selected_labels()
        return answer(ctx, [written])


class MergePhrases(foo.Operator):  # type: ignore[misc]
    """Gives all boxes of one phrase to another."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="merge_phrases",
            label="Merge phrases",
            description="All boxes of one phrase become another's, or both become one phrase",
            dynamic=True,
            icon="merge",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        if not ctx.current_sample:
            return problem_form("Merge phrases", "open an image first")
        inputs = types.Object()
        choices = phrase_choices(ctx)
        inputs.enum("source", choices.values(), required=True, label="Boxes of", view=choices)
        inputs.enum("target", choices.values(), required=True, label="go to", view=choices)
        inputs.bool("whole", label="Both become one new phrase, from the first word to the last")
        return types.Property(inputs, view=types.View(label="Merge phrases"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        source, target = (whole_number(ctx.params, name) for name in ("source", "target"))
        merge = join_phrases if ctx.params.get("whole") else merge_phrases
        written = merge(store_of(ctx), open_sample(ctx), source, target)
        return answer(ctx, [written])


class AcceptAbove(foo.Operator):  # type: ignore[misc]
    """Accepts every pending box of the view above a score, as one click."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="accept_above",
            label="Accept all above a score in this view",
            description="Every pending box that the view and its filters show; one undo takes it "
            "back",
            dynamic=True,
            icon="done_all",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        inputs.float(
            "score", default=DEFAULT_SCORE, required=True, label="Least score", min=0, max=1
        )
        score = ctx.params.get("score")
        if isinstance(score, int | float):
            found = above(store_of(ctx), shown_labels(ctx), float(score))
            boxes = sum(map(len, found.values()))
            inputs.view(
                "count", types.Notice(label=f"accepts {boxes:,} boxes of {len(found):,} images")
            )
        return types.Property(inputs, view=types.View(label="Accept all above a score"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        written, failed = accept_above(store_of(ctx), shown_labels(ctx), share(ctx.params, "score"))
        changed = sum(len(entry.changed) for entry in written)
        message = f"accepted: {changed:,} boxes of {len(written):,} images"
        if failed:
            message += f"; {len(failed):,} images were changed meanwhile and left: {failed[0]}"
        ctx.ops.notify(message, variant="warning" if failed else "success")
        ctx.ops.reload_dataset()
        return {"changed": changed, "images": len(written), "refused": failed}


class UndoAny(foo.Operator):  # type: ignore[misc]
    """Takes back any of the reviewer's clicks."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="undo_any",
            label="Take back one of my changes",
            description="The log of what you did, newest first",
            dynamic=True,
            icon="history",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        choices = types.Dropdown()
        for click in clicks(store_of(ctx), ctx.dataset._doc.id):
            if not click.is_undone:
                where = f"{click.samples} images" if click.samples > 1 else click.caption[:60]
                what = (
                    f"{click.at[:16].replace('T', ' ')} {click.action}: {click.labels} of {where}"
                )
                choices.add_choice(str(click.group), label=what)
        if not choices.values():
            return problem_form("Take back", "there is nothing of yours to take back")
        inputs.enum("group", choices.values(), required=True, label="Change", view=choices)
        return types.Property(inputs, view=types.View(label="Take back one of my changes"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        group = object_id(ctx.params.get("group"), "group")
        undone = undo_click(store_of(ctx), ctx.dataset._doc.id, group)
        ctx.ops.reload_dataset()
        return undone_answer(ctx, undone)


class ExportView(foo.Operator):  # type: ignore[misc]
    """Exports the curated labels of the pairs in the view."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="export_view",
            label="Export the curated view",
            description="Takes over what people decided and writes the labels of these pairs "
            "beside the run",
            icon="download",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        inputs.str("name", required=True, label="Name of the export")
        inputs.view("count", types.Notice(label=f"{len(ctx.view):,} pairs"))
        return types.Property(inputs, view=types.View(label="Export the curated view"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        records = ctx.view.values("record_id")
        dataset = ctx.dataset
        name = str(ctx.params.get("name") or "").strip()
        if not name:
            raise WriteRefused("name must be the name of the export, got nothing")
        done = export_pairs(dataset.name, dataset.info["run"], name, records)
        ctx.ops.notify(f"written: {done.path}", variant="success")
        return {"path": done.path, "pairs": len(records), "said": done.said}
