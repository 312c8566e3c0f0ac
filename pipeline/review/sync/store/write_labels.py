"""The one function of every button, key and operator that gives labels new values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.store.label_store import (
    Fields,
    Label,
    LabelStore,
    Wanted,
    WriteRefused,
    Written,
)


def write_labels(
    store: LabelStore,
    sample_id: ObjectId,
    label_ids: Sequence[ObjectId],
    values: Callable[[Label], Fields],
    *,
    action: str,
    group: ObjectId | None = None,
    expected: Mapping[ObjectId, Fields] | None = None,
    now: datetime | None = None,
) -> Written:
    """Give labels new values: the one function of every button, key and operator.

    Args:
        store: the dataset, in the name of a reviewer.
        sample_id: the open image.
        label_ids: the labels to change; others are not touched.
        values: label -> the attributes to set.
        action: one word for the journal.
        group: see `LabelStore.rewrite`.
        expected: what the author saw of the labels; where one says something else now, nothing is
            written.
        now: the clock if None.

    Raises:
        WriteRefused: a label is gone, or says something else than its author saw.
    """
    wanted_ids = set(label_ids)

    def change(document: dict[str, Any]) -> Wanted:
        labels = labels_of(document)
        missing = wanted_ids - {label.get("_id") for label in labels}
        if missing:
            raise WriteRefused(
                f"{len(missing)} of {len(wanted_ids)} boxes are no longer on this image; nothing "
                "was changed, look again"
            )
        for label in labels:
            if label.get("_id") in wanted_ids:
                _check_seen(label, (expected or {}).get(label["_id"], {}))
                label.update(values(label))
        return Wanted(labels=labels)

    return store.rewrite(sample_id, change, action=action, group=group, now=now)


def _check_seen(label: Label, seen: Fields) -> None:
    for key, value in seen.items():
        if label.get(key) != value:
            who = label.get("reviewer") or "somebody"
            raise WriteRefused(
                f"{who} changed the box {label.get('label')!r} meanwhile ({key} is "
                f"{label.get(key)!r}, you saw {value!r}); nothing was changed, look again"
            )
