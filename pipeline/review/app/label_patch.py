"""What a JSON patch of Annotate mode means, label by label and field by field. Pure.

FiftyOne's page sends changes by position in the list that it has. In a view that filters labels
that list is shorter than the stored one, and its server would apply the positions to the stored
list. Here positions become label ids first, by the ids that the page says it has; each field is
then compared with what the page saw and set on the labels as they are now.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonpatch
from bson import ObjectId

from pipeline.curation.box_state import Review
from pipeline.review.app.edited_label import check_box, consequences, drawn_label
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.label.notes import AUDIT, LEVEL, QUEUE_REASONS, QUEUE_SCORE, STABILITY
from pipeline.review.sync.label.seen import PLACE, is_same_place
from pipeline.review.sync.store.label_store import Label, WriteRefused, keyed_labels

OWN_FIELDS = frozenset(
    {"_id", "_cls", "box_id", "decision_id", "confidence", "origin", "reviewer", "reviewed_at"}
    | {LEVEL, QUEUE_SCORE, QUEUE_REASONS, AUDIT, STABILITY}
)
"""Fields that a page never changes: what it sends for them is what it had before."""
_PATH = re.compile(rf"/{BOXES}/detections/(\d+|-)(?:/([^/]+)((?:/[^/]+)*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """The outcome of a patch."""

    labels: list[Label]
    """The whole new list to store."""
    page: list[Label]
    """The list as the page now has it: its own labels with its own changes, no others."""
    known: list[Label]
    """Every label that the page may show after this, as it knows them: the base of its next
    patch, also in another view."""
    touched: tuple[ObjectId, ...]
    drawn: tuple[ObjectId, ...]
    """Labels that were added."""
    carried: Mapping[ObjectId, str]
    """The texts that the page took over to them from the box before: not the reviewer's word."""


def apply_patch(
    operations: Sequence[Mapping[str, Any]],
    *,
    current: Sequence[Label],
    base: Sequence[Label],
    page_ids: Sequence[ObjectId],
    phrases: Sequence[Mapping[str, Any]],
    carried: Mapping[ObjectId, str] | None = None,
) -> Patched:
    """Do what the reviewer did, and nothing else.

    Args:
        operations: the JSON patch; its positions are those of `page_ids`.
        current: the labels as they are now.
        base: the labels as the page got them.
        page_ids: the labels that the page has, in its order: fewer than `base` in a filtered view.
        phrases: the caption's phrases, with `text`.
        carried: `Patched.carried` of the patch before.

    Raises:
        WriteRefused: the patch is about something else than labels, or more than one box would
            be removed, or somebody else changed the same field of the same box meanwhile.
    """
    by_id = keyed_labels(base)
    strangers = [label_id for label_id in page_ids if label_id not in by_id]
    if strangers or len(set(page_ids)) != len(page_ids):
        raise WriteRefused(
            f"the page shows {len(strangers)} boxes that this version of the image does not have; "
            "open the image again"
        )
    work = _Work(
        page=[copy.deepcopy(by_id[label_id]) for label_id in page_ids],
        now=keyed_labels(copy.deepcopy(list(current))),
        base=by_id,
        carried=carried or {},
    )
    for operation in operations:
        work.do(operation)
    work.finish([str(phrase.get("text") or "") for phrase in phrases])
    hidden = [copy.deepcopy(label) for key, label in by_id.items() if key not in set(page_ids)]
    return Patched(
        labels=list(work.now.values()),
        page=work.page,
        known=[*hidden, *work.page],
        touched=tuple(dict.fromkeys([*work.fields, *work.removed, *work.drawn])),
        drawn=tuple(work.drawn),
        carried=work.taken_over,
    )


class _Work:
    """The page's labels and the stored ones, changed side by side."""

    def __init__(
        self,
        *,
        page: list[Label],
        now: dict[ObjectId, Label],
        base: Mapping[ObjectId, Label],
        carried: Mapping[ObjectId, str],
    ) -> None:
        self.page = page
        self.now = now
        self.base = base
        self.carried = carried
        self.taken_over: dict[ObjectId, str] = {}
        self.fields: dict[ObjectId, set[str]] = {}
        self.removed: list[ObjectId] = []
        self.drawn: list[ObjectId] = []

    def do(self, operation: Mapping[str, Any]) -> None:
        kind, path = operation.get("op"), operation.get("path")
        found = _PATH.fullmatch(path) if isinstance(path, str) else None
        if found is None or kind not in ("add", "remove", "replace"):
            raise WriteRefused(f"only boxes can be changed here, not {kind!r} of {path!r}")
        position, name, rest = found.groups()
        if name is None:
            if kind == "replace":
                raise WriteRefused(f"a box is changed field by field, not as a whole ({path!r})")
            self._remove(self._at(position)) if kind == "remove" else self._add(
                position, operation.get("value")
            )
            return
        label = self.page[self._at(position)]
        step = {"op": kind, "path": f"/{name}{rest}", "value": operation.get("value")}
        if kind == "remove":
            del step["value"]
        self._change(label, name, step)

    def _at(self, position: str) -> int:
        number = len(self.page) if position == "-" else int(position)
        if number >= len(self.page):
            raise WriteRefused(f"box {position} does not exist among the {len(self.page)} shown")
        return number

    def _remove(self, number: int) -> None:
        label = self.page.pop(number)
        key = label["_id"]
        now = self.now.pop(key, None)
        if key in self.drawn:
            self.drawn.remove(key)
            return
        if self.removed:
            raise WriteRefused("more than one box would be deleted at once; delete one at a time")
        self.removed.append(key)
        if now is not None:
            for name in sorted({*now, *self.base[key]} - OWN_FIELDS):
                self._compare(now, key, name, wanted=None)

    def _add(self, position: str, value: Any) -> None:
        label = drawn_label(value)
        if label["_id"] in self.now or label["_id"] in self.base:
            raise WriteRefused(f"a box {label['_id']} exists already")
        number = len(self.page) if position == "-" else min(int(position), len(self.page))
        self.page.insert(number, label)
        self.now[label["_id"]] = copy.deepcopy(label)
        self.drawn.append(label["_id"])
        if isinstance(value.get("label"), str):
            self.taken_over[label["_id"]] = value["label"]

    def _change(self, label: Label, name: str, step: dict[str, Any]) -> None:
        key = label["_id"]
        try:
            jsonpatch.JsonPatch([step]).apply(label, in_place=True)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
            raise WriteRefused(f"field {name!r} of a box cannot be changed so: {error}") from error
        echo = name == "label" and label.get("label") == self.carried.get(key)
        if name not in OWN_FIELDS and not (echo and key in self.carried):
            self.fields.setdefault(key, set()).add(name)

    def finish(self, phrases: Sequence[str]) -> None:
        """Bring the page's changes into the stored labels, each field compared with its base."""
        by_id = {label["_id"]: label for label in self.page}
        for key in [*self.fields]:
            names, label = self.fields[key], by_id.get(key)
            if label is None:
                del self.fields[key]  # changed, then removed
                continue
            now = self.now.get(key)
            if now is None:
                raise WriteRefused(
                    f"somebody deleted the box {label.get('label')!r} meanwhile; open the image "
                    "again"
                )
            if PLACE in names:
                check_box(label.get(PLACE))
            if key not in self.drawn:
                for name in sorted(names):
                    self._compare(now, key, name, wanted=label.get(name))
            if key not in self.drawn:
                before = self.base[key]
            else:
                before = {**label, "label": None, "review": str(Review.PENDING)}
            for name, value in consequences(label, names, before, phrases).items():
                label[name] = value
                names.add(name)
            for name in names:
                if name in label:
                    now[name] = copy.deepcopy(label[name])
                else:
                    now.pop(name, None)

    def _compare(self, now: Label, key: ObjectId, name: str, *, wanted: Any) -> None:
        """Refuse where somebody else changed the same field, to something else."""
        there, seen = now.get(name), self.base[key].get(name)
        if there not in (seen, wanted) and not (name == PLACE and is_same_place(there, seen)):
            raise WriteRefused(
                f"{now.get('reviewer') or 'somebody'} changed {name} of the box "
                f"{now.get('label')!r} meanwhile; open the image again to see it"
            )
