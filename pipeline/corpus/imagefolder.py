"""An image folder in Hugging Face's layout: images with `metadata.jsonl` beside or above them.

Each line has `file_name`, a path below the folder of its `metadata.jsonl`, and a caption.
"""

from __future__ import annotations

from typing import ClassVar

from pipeline.corpus.json_lines import JsonLinesCorpus
from pipeline.corpus.record_ids import record_id

METADATA_NAME = "metadata.jsonl"


class ImageFolderCorpus(JsonLinesCorpus):
    """Record id: `source/folder/file_name`."""

    format = "imagefolder"
    usual_images: ClassVar[tuple[str, ...]] = ("file_name",)
    images_inside = True

    def _choose_id(self, present: list[str], where: str) -> str | None:
        return self.options.id_field or self.image_field

    def _row_id(self, uri: str, key: str) -> str:
        folder = self._relative(uri).rpartition("/")[0]
        return record_id(self.source, folder, key)
