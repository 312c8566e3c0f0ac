"""A run with its dataset on a real MongoDB, and the commands on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.review.sync.dataset.dataset import create_dataset
from pipeline.review.sync.label.documents import label_object_id, sample_object_id
from pipeline.review.sync.label.notes import NO_NOTES, Notes
from pipeline.review.sync.pull.pull import PullReport, pull
from pipeline.review.sync.push.media import MediaStore
from pipeline.review.sync.push.push import PushReport, push
from pipeline.review.sync.push.selection import Selection
from pipeline.review.sync.store.mongo_store import Document, StoredDataset, get_dataset
from schemas.records import Annotation
from tests.pipeline.folder_run import folder_run
from tests.pipeline.review.conftest import ReviewSession


class Bench:
    """A run, its dataset, and the commands on them."""

    def __init__(self, session: ReviewSession, folder: Path, rows: list[Annotation]) -> None:
        self.session = session
        self.rows = rows
        self.run = folder_run(folder / "run", rows)
        self.name = f"bench-{folder.name}"
        self.restore = False
        self.make()

    def make(self) -> None:
        create_dataset(self.name, {"run": "x"})
        self.stored: StoredDataset = get_dataset(self.session.store, self.name)

    def drop(self) -> None:
        self.session.fo.delete_dataset(self.name)

    @property
    def dataset(self) -> Any:
        """FiftyOne's own object, read anew."""
        dataset = self.session.fo.load_dataset(self.name)
        dataset.reload()
        return dataset

    def push(self, *, notes: Notes = NO_NOTES, **options: Any) -> PushReport:
        return push(
            self.stored,
            lambda: iter(self.rows),
            load_decisions(self.run),
            media=MediaStore(self.session.home.media),
            selection=Selection(**options),
            restore=self.restore,
            notes=notes,
        )

    def pull(self) -> PullReport:
        return pull(
            self.stored,
            self.rows,
            load_decisions(self.run),
            append=lambda rows: append_decisions(self.run, rows),
            reviewer="ann",
        )

    def document(self, number: int = 0) -> Document:
        return self.stored.documents([sample_object_id(f"toy/{number}")]).popitem()[1]

    def label(self, box_id: str) -> Document:
        number = int(box_id.removeprefix("toy/").split("#")[0])
        labels = self.document(number)["boxes"]["detections"]
        return next(entry for entry in labels if entry["_id"] == label_object_id(box_id))

    def set(self, box_id: str, attribute: str, value: Any) -> None:
        """As an operator would."""
        self.dataset.set_label_values(
            f"boxes.detections.{attribute}", {str(label_object_id(box_id)): value}
        )
