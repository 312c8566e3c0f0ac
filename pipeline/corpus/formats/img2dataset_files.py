"""What img2dataset writes with `output_format=files`: folders of pictures, a Parquet file for each.

The pictures are read from the folders, never from the web again. What was not downloaded is in
the Parquet file with the reason, and becomes a row too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pipeline.corpus.corpus import RECORDS_PER_UNIT
from pipeline.corpus.formats.bare_images import ImageFilesCorpus
from pipeline.corpus.formats.img2dataset import FAILED, FailedDownloads
from pipeline.corpus.formats.tar_samples import IMAGE_ENDINGS
from pipeline.corpus.options import CorpusOptions
from pipeline.corpus.record_ids import unit_id
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import list_folder
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord


class Img2datasetFilesCorpus(ImageFilesCorpus, FailedDownloads):
    """Record id: `source/path of the image`; of what was not downloaded `source/shard/key`."""

    format: ClassVar[str] = "img2dataset"

    def __init__(
        self,
        uri: str,
        root: str,
        files: tuple[InputFile, ...],
        options: CorpusOptions,
        *,
        tables: tuple[InputFile, ...],
    ) -> None:
        """`files` are the images, `tables` the Parquet files beside their folders; both sorted."""
        super().__init__(uri, root, files, options)
        self._tables: tuple[InputFile, ...] = tables
        self.explanation = (
            f"{len(files):,} image file(s) that img2dataset has written, and the Parquet files of "
            "what it did not get"
        )

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_tables": ()}

    def inputs(self) -> tuple[InputFile, ...]:
        """The images and the tables."""
        return tuple(sorted((*super().inputs(), *self._tables), key=lambda file: file.uri))

    def units(self, records_per_unit: int = RECORDS_PER_UNIT) -> tuple[Unit, ...]:
        """The images of each folder in units, and a unit of each table."""
        images = super().units(records_per_unit)
        tables = [
            Unit(
                unit_id=unit_id(self._relative(table.uri), 0),
                uri=table.uri,
                kind=FAILED,
                start=0,
                stop=table.size,
                num_records=-1,
                file=table,
            )
            for table in self._tables
        ]
        return (*images, *tables)

    def _images(self) -> tuple[InputFile, ...]:
        return super().inputs()

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        if unit.kind != FAILED:
            yield from super()._read(unit)
            return
        folder = unit.uri.removesuffix(".parquet")
        try:
            here, _ = list_folder(folder)
        except MissingFile:
            here = []
        names = (file.uri.rpartition("/")[2].rpartition(".") for file in here)
        keys = {key for key, _, ending in names if ending.lower() in IMAGE_ENDINGS}
        yield from self._failed(f"{folder}.tar", keys)
