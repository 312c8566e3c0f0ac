"""What img2dataset writes: WebDataset tars, and beside each a Parquet file of all its rows.

Only downloaded images are in a tar. The others are in the Parquet file with the reason, and
become rows too: the run says how much of the web was gone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipeline.corpus.captions import read_caption
from pipeline.corpus.corpus import WHOLE_FILE, Part
from pipeline.corpus.parquet_columns import open_parquet, read_group
from pipeline.corpus.webdataset import WebdatasetCorpus
from pipeline.storage_errors import MissingFile
from schemas.errors import UnitError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status

STATS_ENDING = "_stats.json"
FAILED = "failed-downloads"
"""Kind of a unit of the rows of a shard that are not in its tar."""
_NEEDED = ("key", "status")
_COLUMNS = ("caption", "url", "error_message")
_SUCCESS = b"success"


class Img2datasetCorpus(WebdatasetCorpus):
    """Record id: `source/shard/key`, as in the tar."""

    format = "img2dataset"

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        if unit.kind != FAILED:
            yield from super()._read(unit)
        if unit.kind in (FAILED, WHOLE_FILE):
            yield from self._failed(unit.uri)

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        failed = [record.record_id for record in self._failed(file.uri)]
        parts = self._divide_tar(file, records_per_unit, failed)
        if parts[0].kind == WHOLE_FILE or not failed:
            return parts
        return [*parts, Part(FAILED, file.size, file.size, len(failed))]

    def _failed(self, uri: str) -> Iterator[CorpusRecord]:
        sidecar = f"{uri.removesuffix('.tar')}.parquet"
        try:
            with open_parquet(sidecar) as file:
                names = file.schema_arrow.names
                if missing := [name for name in _NEEDED if name not in names]:
                    raise ValueError(f"it has no column {', '.join(missing)}")
                columns = [*_NEEDED, *(name for name in _COLUMNS if name in names)]
                for group in range(file.num_row_groups):
                    for row in read_group(file, group, columns):
                        if row["status"] != _SUCCESS:
                            yield self._failed_record(uri, row)
        except MissingFile:
            return  # written with save_additional_columns off, or the Parquet files were not kept
        except (pa.ArrowException, OSError, ValueError, UnitError) as error:
            yield self._broken(uri, "@failed", f"{sidecar} cannot be read: {error}")

    def _failed_record(self, uri: str, row: dict[str, bytes | None]) -> CorpusRecord:
        text = {
            name: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
            for name, value in row.items()
        }
        caption, _ = read_caption(row.get("caption"), self.options.max_caption_chars)
        reason = ": ".join(part for part in (text["status"], text.get("error_message")) if part)
        return CorpusRecord(
            record_id=self._id(uri, text["key"]),
            caption=caption,
            image_uri=text.get("url") or None,
            source=self.source,
            error=(Status.IMAGE_MISSING, f"img2dataset did not get it: {reason}"[:500]),
        )
