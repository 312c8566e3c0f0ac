"""An image folder in Hugging Face's layout: images with `metadata.jsonl` or `.csv` beside or above.

Each row has `file_name`, a path below the folder of that file, and a caption.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from pipeline.corpus.formats.rows_base import RowsCorpus
from pipeline.corpus.record_ids import record_id, shard_name
from schemas.records import CorpusRecord

METADATA_NAME = "metadata.jsonl"
METADATA_NAMES = (METADATA_NAME, "metadata.csv", "metadata.tsv")


class ImageFolderCorpus(RowsCorpus):
    """Record id: `source/folder/file_name`."""

    format = "imagefolder"
    usual_images: ClassVar[tuple[str, ...]] = ("file_name",)
    images_inside = True

    def _choose_id(self, present: list[str], where: str) -> str | None:
        return self.options.id_field or self.image_field

    def _key(self, row: dict[str, Any], offset: int) -> str | None:
        key = super()._key(row, offset)
        # A row for each caption of an image: the image alone names none of them.
        is_shared = self.images_repeat and self.id_field == self.image_field
        return f"{key}@{offset}" if is_shared and key is not None else key

    def _name(self, uri: str) -> str:
        return self._relative(uri).rpartition("/")[0]

    def _row_id(self, uri: str, key: str) -> str:
        return self._id(uri, key)

    def _broken(self, uri: str, key: str, detail: str) -> CorpusRecord:
        # Named by the file itself: what cannot be read names no image of the folder.
        record = super()._broken(uri, key, detail)
        shard = shard_name(self._relative(uri))
        return replace(record, record_id=record_id(self.source, shard, key))
