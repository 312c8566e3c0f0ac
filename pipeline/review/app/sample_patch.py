"""The route by which Annotate mode saves, in place of FiftyOne's own.

FiftyOne's route applies positions to the stored label list and replaces the whole sample; its page
answers a stale version by sending its whole copy. Both undo other people's work, and in a view
that filters labels the boxes that it hides are deleted. This one applies a patch label by label
(`label_patch`), refuses by 409 what it cannot place (a 412 would make the page revert), and
answers with the page's own labels, so that the page sees nothing to revert.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId, json_util
from bson.errors import InvalidId
from pymongo.errors import PyMongoError

from pipeline.review.app.label_patch import Patched, apply_patch
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.label.notes import LEVEL
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.store.label_store import (
    LabelStore,
    Version,
    Wanted,
    WriteRefused,
    version_key,
)

LABELS_HEADER = b"x-glipforge-labels"
"""Ids of the labels that the page has, in its order; our JS bundle adds it to every save."""
CONTENT_TYPE = "application/json-patch+json"
_SAMPLE = re.compile(r"/dataset/([0-9a-f]{24})/sample/([0-9a-f]{24})")
_BELOW_SAMPLE = re.compile(r"/dataset/[^/]+/sample/[^/]+(/.*)?")
NO_LABELS = (
    "the page did not say which boxes it shows, so that nothing was saved: the review plugin did "
    "not load in this browser; reload the page"
)
OTHER_WAY = (
    "boxes are changed in their image only, not in a view of patches; open the image and "
    "choose Annotate"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the page."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def is_sample_write(method: str, path: str) -> bool:
    """True where FiftyOne's own server would change a sample by its REST interface."""
    return method in ("PATCH", "POST", "PUT", "DELETE") and bool(_BELOW_SAMPLE.fullmatch(path))


class SamplePatches:
    """Answers the saves of Annotate mode."""

    def __init__(self, database: Any, *, reviewer: str | None = None) -> None:
        """Work on a review database (pymongo), in the name of a reviewer."""
        self._database = database
        self._reviewer = reviewer

    def dataset_ids(self) -> list[str]:
        """Every dataset of the review database."""
        return [str(entry["_id"]) for entry in self._database["datasets"].find({}, {"_id": 1})]

    def answer(self, method: str, path: str, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        """Save, or say in a sentence why not; never raises for what a page may send."""
        found = _SAMPLE.fullmatch(path)
        try:
            if found is None or method != "PATCH":
                raise WriteRefused(OTHER_WAY)
            kind = headers.get(b"content-type", b"").decode("latin-1").split(";")[0].strip()
            if kind != CONTENT_TYPE:
                raise WriteRefused(f"a save must be {CONTENT_TYPE}, got {kind!r}")
            return self._save(ObjectId(found[1]), ObjectId(found[2]), headers, body)
        except WriteRefused as refused:
            return _refusal(409, str(refused))
        except PyMongoError as error:
            return _refusal(503, f"the review database does not answer, nothing was saved: {error}")

    def _save(
        self, dataset_id: ObjectId, sample_id: ObjectId, headers: Mapping[bytes, bytes], body: bytes
    ) -> Answer:
        page_ids = page_labels(headers)
        key = token_key(headers.get(b"if-match", b"").decode("latin-1"))
        operations = _operations(body)
        store = self._store(dataset_id)
        outcome: dict[str, Any] = {}

        def change(document: dict[str, Any]) -> Wanted:
            current = labels_of(document)
            same = key == version_key(document["last_modified_at"])
            version = Version(labels=current) if same else store.version(sample_id, key)
            if version is None:
                raise WriteRefused(
                    "this image was changed since you opened it, in a way that cannot be joined "
                    "with your edit; open it again"
                )
            patched = apply_patch(
                operations,
                current=current,
                base=version.labels,
                page_ids=page_ids,
                phrases=document.get("phrases") or (),
                carried=version.carried,
            )
            outcome["patched"] = patched
            return Wanted(labels=patched.labels)

        written = store.rewrite(sample_id, change, action="annotate")
        return self._reply(store, written.after, outcome["patched"])

    def _store(self, dataset_id: ObjectId) -> LabelStore:
        entry = self._database["datasets"].find_one(
            {"_id": dataset_id}, {"sample_collection_name": 1}
        )
        if entry is None:
            raise WriteRefused("this dataset is no longer in the review database")
        return LabelStore(self._database[entry["sample_collection_name"]], reviewer=self._reviewer)

    def _reply(self, store: LabelStore, after: Mapping[str, Any], patched: Patched) -> Answer:
        """The page's own labels, with the reviewer's mark where the store put one."""
        stored = {label.get("_id"): label for label in labels_of(after)}
        stamps = ("reviewer", "reviewed_at", LEVEL)
        for label in patched.page:
            if label["_id"] in patched.touched:
                label |= {
                    key: stored[label["_id"]][key]
                    for key in stamps
                    if key in stored.get(label["_id"], {})
                }
        token = "gf-" + secrets.token_hex(12)
        store.remember(after["_id"], token, Version(labels=patched.known, carried=patched.carried))
        merged = patched.page != labels_of(after)
        document = {**after, BOXES: {**(after.get(BOXES) or {}), "detections": patched.page}}
        if merged:
            # Older by the least: a later reload brings the stored version with its own token.
            document["last_modified_at"] = after["last_modified_at"] - timedelta(milliseconds=1)
        headers = [
            (b"content-type", b"application/json"),
            (b"etag", f'"{token}"'.encode()),
            (b"x-glipforge-merged", b"1" if merged else b"0"),
            (b"x-glipforge-drawn", ",".join(map(str, patched.drawn)).encode()),
        ]
        body = json_util.dumps(document).encode()
        return Answer(status=200, body=body, headers=tuple(headers))


def page_labels(headers: Mapping[bytes, bytes]) -> list[ObjectId]:
    """The ids in the page's header; an empty header says that it shows no box.

    Raises:
        WriteRefused: the header is missing or holds something else.
    """
    raw = headers.get(LABELS_HEADER)
    if raw is None:
        raise WriteRefused(NO_LABELS)
    text = raw.decode("latin-1").strip()
    try:
        return [ObjectId(part.strip()) for part in text.split(",")] if text else []
    except InvalidId as error:
        raise WriteRefused(f"{LABELS_HEADER.decode()} must be label ids: {error}") from error


def token_key(token: str) -> str:
    """The version that an `If-Match` header names: a time, FiftyOne's ETag of one, or our own.

    Raises:
        WriteRefused: it names none.
    """
    text = token.strip().removeprefix("W/").strip('"')
    if text.startswith("gf-"):
        return text
    for candidate in (text, _decoded(text)):
        try:
            moment = datetime.fromisoformat(candidate)
        except ValueError:
            continue
        return version_key(moment)
    raise WriteRefused(f"If-Match must name the version that was edited, got {token!r}")


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _operations(body: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        operations = json_util.loads(body.decode())
    except (ValueError, TypeError) as error:
        raise WriteRefused(f"a save must be a JSON patch: {error}") from error
    if not isinstance(operations, list) or not all(isinstance(op, dict) for op in operations):
        raise WriteRefused("a save must be a JSON patch: a list of operations")
    return operations


def _refusal(status: int, sentence: str) -> Answer:
    body = json_util.dumps({"glipforge": sentence}).encode()
    return Answer(status=status, body=body, headers=((b"content-type", b"application/json"),))
