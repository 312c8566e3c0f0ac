"""What an edit in Annotate makes of a label: a drawn one, what follows from an edit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import Origin, Review
from pipeline.review.sync.store.label_store import Label, WriteRefused

_COORDINATES = 4


def drawn_label(value: Any) -> Label:
    """A box that somebody just drew: where it is, and nothing that the box before it said.

    Raises:
        WriteRefused: it has no usable id or box.
    """
    raw = value if isinstance(value, Mapping) else {}
    try:
        label_id = ObjectId(raw.get("_id") or raw.get("id"))
    except Exception as error:
        raise WriteRefused(f"a drawn box needs an id, got {raw.get('_id')!r}") from error
    check_box(raw.get("bounding_box"))
    return {
        "_id": label_id,
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": None,
        "bounding_box": [float(v) for v in raw["bounding_box"]],
        "review": str(Review.PENDING),
        "origin": str(Origin.HUMAN),
    }


def check_box(box: Any) -> None:
    """Refuse what is not [x, y, width, height] with an area.

    Raises:
        WriteRefused: naming the value.
    """
    good = (
        isinstance(box, list)
        and len(box) == _COORDINATES
        and all(isinstance(v, float | int) and abs(v) < float("inf") for v in box)
        and box[2] > 0
        and box[3] > 0
    )
    if not good:
        raise WriteRefused(f"bounding_box must be [x, y, width, height] with an area, got {box!r}")


def consequences(
    label: Mapping[str, Any], names: set[str], before: Mapping[str, Any], phrases: Sequence[str]
) -> dict[str, Any]:
    """What follows from an edit: label and phrase go together, and an edit is a word on the box.

    A box that a person drew is accepted when it gets its phrase and stays pending without one; a
    teacher's box that was moved or renamed is `fixed`.

    Args:
        label: the label after the edit.
        names: its fields that were edited.
        before: the label before.
        phrases: texts of the caption's phrases.
    """
    out: dict[str, Any] = {}
    text, index = label.get("label"), label.get("phrase_index")
    if "label" in names and "phrase_index" not in names and isinstance(text, str):
        same = [i for i, phrase in enumerate(phrases) if _alike(phrase, text)]
        if index not in same and same:
            out["phrase_index"] = index = same[0]
        if same and phrases[same[0]] != text:
            out["label"] = phrases[same[0]]
    elif "phrase_index" in names and isinstance(index, float) and index.is_integer():
        out["phrase_index"] = index = int(index)
    if "phrase_index" in names and "label" not in names and _names(index, phrases):
        out["label"] = phrases[int(index or 0)]
    named = _names(index, phrases)
    edited = bool(names & {"bounding_box", "label", "phrase_index"})
    drawn = label.get("origin") == Origin.HUMAN
    word = label.get("review")
    if drawn:
        if not named:
            word = Review.PENDING
        elif edited and not _names(before.get("phrase_index"), phrases) and word == Review.PENDING:
            word = Review.ACCEPTED
    elif edited and "review" not in names and word in (Review.PENDING, Review.ACCEPTED, None):
        word = Review.FIXED
    if word is not None and word != label.get("review"):
        out["review"] = str(word)
    return out


def _names(index: Any, phrases: Sequence[str]) -> bool:
    return isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(phrases)


def _alike(one: str, other: str) -> bool:
    return one == other or one.strip().casefold() == other.strip().casefold()
