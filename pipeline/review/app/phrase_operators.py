"""Operators on phrases: mark words of the caption as a new one, split one in two.

Imported only by the App server, after FiftyOne. Each can be called from Python, see docs/review.md.
"""

from __future__ import annotations

import re
from typing import Any

import fiftyone.operators as foo
from bson import ObjectId
from fiftyone.operators import types

from pipeline.review.app.answers import answer, or_refused, or_told, problem_form, store_of
from pipeline.review.app.box_operators import open_sample, phrase_choices
from pipeline.review.app.operators import drop_selection, selected_labels
from pipeline.review.app.parameters import object_ids, whole_number
from pipeline.review.sync.store.label_store import WriteRefused
from pipeline.review.sync.verdict.phrases import new_phrase, split_phrase


def chosen_labels(ctx: Any, sample_id: ObjectId) -> list[ObjectId]:
    """The boxes that the page names, else the selected ones of the image."""
    if ctx.params.get("label_ids") is not None:
        return object_ids(ctx.params, "label_ids")
    return selected_labels(ctx).get(sample_id, [])


def span_of(ctx: Any, caption: str) -> tuple[int, int]:
    """The characters that are meant: `start` and `end`, or the place of `words`.

    Where they stand more than once, `occurrence` says which, from 1. Parts of other words count
    only where the words stand nowhere by themselves.

    Raises:
        WriteRefused: the words do not stand in the caption, or it is not said where.
    """
    words = str(ctx.params.get("words") or "").strip()
    if not words and ctx.params.get("end") is None:
        raise WriteRefused(f"write the words of the new phrase as they stand in {caption!r}")
    if not words:
        return whole_number(ctx.params, "start"), whole_number(ctx.params, "end")
    places = places_of(words, caption)
    if not places:
        raise WriteRefused(f"{words!r} does not stand in the caption {caption!r}")
    number = 1
    if ctx.params.get("occurrence") not in (None, "") or len(places) > 1:
        if ctx.params.get("occurrence") in (None, ""):
            raise WriteRefused(
                f"{words!r} stands {len(places)} times in the caption: say which by occurrence, "
                f"1 to {len(places)}"
            )
        number = whole_number(ctx.params, "occurrence")
        if not 1 <= number <= len(places):
            raise WriteRefused(
                f"occurrence must be from 1 to {len(places)}, the times that {words!r} stands in "
                f"the caption, got {number}"
            )
    start = places[number - 1]
    return start, start + len(words)


def places_of(words: str, caption: str) -> list[int]:
    """Where words begin in a caption: by themselves, else inside of others."""
    exact = re.escape(words)
    for pattern in (rf"(?<!\w){exact}(?!\w)", exact):
        if found := [match.start() for match in re.finditer(pattern, caption)]:
            return found
    return []


class NewPhrase(foo.Operator):  # type: ignore[misc]
    """Makes words of the caption a phrase and gives it the selected boxes."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="new_phrase",
            label="New phrase from words of the caption",
            description="The selected boxes become the new phrase's",
            dynamic=True,
            icon="add_comment",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        if not ctx.current_sample:
            return problem_form("New phrase", "open an image first")
        inputs = types.Object()
        caption = store_of(ctx).document(open_sample(ctx)).get("caption") or ""
        inputs.view("caption", types.Notice(label=caption))
        inputs.str("words", label="Words, as they stand in the caption")
        times = len(places_of(str(ctx.params.get("words") or "").strip() or "\0", caption))
        if times > 1:
            inputs.int("occurrence", min=1, max=times, label=f"Which of the {times} places, from 1")
        return types.Property(inputs, view=types.View(label="New phrase"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        store = store_of(ctx)
        sample_id = open_sample(ctx)
        span = span_of(ctx, str(store.document(sample_id).get("caption") or ""))
        ids = chosen_labels(ctx, sample_id)
        written = new_phrase(store, sample_id, span, label_ids=ids)
        drop_selection(ctx)
        return answer(ctx, [written])


class SplitPhrase(foo.Operator):  # type: ignore[misc]
    """Makes two phrases of one; the selected boxes go to the second."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="split_phrase",
            label="Split a phrase",
            description="The selected boxes go to the second part, the others to the first",
            dynamic=True,
            icon="call_split",
        )

    @or_told
    def resolve_input(self, ctx: Any) -> types.Property:
        if not ctx.current_sample:
            return problem_form("Split a phrase", "open an image first")
        inputs = types.Object()
        choices = phrase_choices(ctx)
        inputs.enum("phrase", choices.values(), required=True, label="Phrase", view=choices)
        inputs.str("second", label="The second part begins with")
        return types.Property(inputs, view=types.View(label="Split a phrase"))

    @or_refused
    def execute(self, ctx: Any) -> dict[str, Any]:
        store = store_of(ctx)
        index = whole_number(ctx.params, "phrase")
        sample_id = open_sample(ctx)
        if ctx.params.get("at") is not None:
            at = whole_number(ctx.params, "at")
        else:
            at = self._place(store.document(sample_id), index, str(ctx.params.get("second") or ""))
        ids = chosen_labels(ctx, sample_id)
        written = split_phrase(store, sample_id, index, at, second_ids=ids)
        ctx.ops.clear_selected_labels()
        return answer(ctx, [written])

    @staticmethod
    def _place(document: dict[str, Any], index: int, second: str) -> int:
        phrases = document.get("phrases") or []
        text = str(phrases[index]["text"]) if 0 <= index < len(phrases) else ""
        at = text.find(second.strip(), 1)
        if at < 0 or not second.strip():
            raise WriteRefused(f"{second!r} does not stand inside the phrase {text!r}")
        return at
