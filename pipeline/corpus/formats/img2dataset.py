"""What img2dataset writes: WebDataset tars, and beside each a Parquet file of all its rows.

Only downloaded images are in a tar. The others are in the Parquet file with the reason, and
become rows too: the run says how much of the web was gone. So do those that a tar has lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

import pyarrow as pa

from pipeline.corpus.captions import read_caption
from pipeline.corpus.corpus import WHOLE_FILE, Corpus, Part
from pipeline.corpus.formats.parquet_columns import open_parquet, read_group
from pipeline.corpus.formats.tar_samples import iter_samples
from pipeline.corpus.formats.webdataset import WebdatasetCorpus
from pipeline.storage.errors import MissingFile
from pipeline.storage.tar_members import TarDamage, open_tar
from schemas.errors import UnitError, reason_of
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status

STATS_ENDING = "_stats.json"
FAILED = "failed-downloads"
"""Kind of a unit of the rows of a shard that are not in its tar."""
_NEEDED = ("key", "status")
_COLUMNS = ("caption", "url", "error_message")
_SUCCESS = b"success"
_LOST = "img2dataset got it, but its sample is not in the shard"


class FailedDownloads(Corpus):
    """Rows of the Parquet file beside a shard that are not in the shard."""

    def _failed(self, uri: str, keys: Collection[str] | None) -> Iterator[CorpusRecord]:
        """Rows that have no sample; of those that are said to have one, the ones not in `keys`."""
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
                        elif keys is not None and _is_lost(row["key"], keys):
                            yield self._failed_record(uri, row, _LOST)
        except MissingFile:
            return  # written with save_additional_columns off, or the Parquet files were not kept
        except (pa.ArrowException, OSError, ValueError, UnitError) as error:
            yield self._broken(uri, "@failed", f"{sidecar} cannot be read: {reason_of(error)}")

    def _failed_record(
        self, uri: str, row: dict[str, bytes | None], reason: str = ""
    ) -> CorpusRecord:
        text = {
            name: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
            for name, value in row.items()
        }
        caption, _ = read_caption(row.get("caption"), self.options.max_caption_chars)
        if not reason:
            said = ": ".join(part for part in (text["status"], text.get("error_message")) if part)
            reason = f"img2dataset did not get it: {said}"
        return CorpusRecord(
            record_id=self._id(uri, text["key"]),
            caption=caption,
            image_uri=text.get("url") or None,
            source=self.source,
            error=(Status.IMAGE_MISSING, reason[:500]),
        )


class Img2datasetCorpus(WebdatasetCorpus, FailedDownloads):
    """Record id: `source/shard/key`, as in the tar."""

    format = "img2dataset"

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        if unit.kind == FAILED:
            yield from self._failed(unit.uri, _keys_of_tar(unit.uri))
            return
        keys: set[str] = set()
        yield from self._read_samples(unit, keys)
        if unit.kind == WHOLE_FILE:
            yield from self._failed(unit.uri, keys)

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        failed = [record.record_id for record in self._failed(file.uri, None)]
        parts = self._divide_tar(file, records_per_unit, failed)
        if parts[0].kind == WHOLE_FILE:
            return parts
        num_lost = sum(1 for _ in self._failed(file.uri, _keys_of_tar(file.uri)))
        return [*parts, Part(FAILED, file.size, file.size, num_lost)] if num_lost else parts


def _is_lost(key: object, keys: Collection[str]) -> bool:
    # A key of another type than img2dataset's own is compared with nothing.
    return isinstance(key, bytes) and key.decode("utf-8", "replace") not in keys


def _keys_of_tar(uri: str) -> set[str]:
    keys: set[str] = set()
    with open_tar(uri) as stream, suppress(TarDamage):  # which reading the samples reports
        keys.update(sample.key for sample in iter_samples(stream, 0, None))
    return keys
