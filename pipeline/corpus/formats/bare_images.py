"""A folder of images without a list: captions come from a text file beside each, if there is one.

This is also how img2dataset writes with `output_format=files`: `000.jpg`, `000.txt`, `000.json`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby

from pipeline.corpus.captions import file_text
from pipeline.corpus.corpus import RECORDS_PER_UNIT, Corpus, Part
from pipeline.corpus.field_names import CAPTIONS
from pipeline.corpus.formats.tar_samples import TEXT_ENDINGS
from pipeline.corpus.formats.webdataset import MAX_TEXT_MEMBER, read_json_row
from pipeline.corpus.options import CorpusOptions
from pipeline.corpus.record_ids import record_id, unit_id
from pipeline.storage.files import join_url, list_folder, read_bytes, stat_file, text_url
from schemas.caption_text import Problem
from schemas.errors import ConfigError, GlipforgeError, RecordError, RetryableError, reason_of
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status

IMAGE_FILES = "images"
"""Kind of a unit of image files of one folder, those that its `names` list."""


class ImageFilesCorpus(Corpus):
    """Record id: `source/path of the image`."""

    format = "imagefolder"

    def __init__(
        self, uri: str, root: str, files: tuple[InputFile, ...], options: CorpusOptions
    ) -> None:
        """`files` are the images, sorted."""
        super().__init__(uri, root, files, options)
        for name in ("image_field", "id_field"):
            if getattr(options, name) is not None:
                raise ConfigError(
                    f"{name}: {uri} is a folder of images without a metadata.jsonl; there are no "
                    "fields to choose from"
                )
        self.explanation = (
            f"{len(files):,} image file(s) without a metadata.jsonl; captions from text files "
            "beside them, where there are any"
        )

    def units(self, records_per_unit: int = RECORDS_PER_UNIT) -> tuple[Unit, ...]:
        """The images of each folder in units."""
        if records_per_unit < 1:
            raise ConfigError(f"records_per_unit must be at least 1, got {records_per_unit}")
        units = []
        for folder, group in groupby(sorted(self._images(), key=_by_folder), key=_folder):
            names = tuple(file.uri.rpartition("/")[2] for file in group)
            relative = "" if folder == self.root else self._relative(folder)
            for start in range(0, len(names), records_per_unit):
                stop = min(start + records_per_unit, len(names))
                units.append(
                    Unit(
                        unit_id=unit_id(relative, start),
                        uri=folder,
                        kind=IMAGE_FILES,
                        start=start,
                        stop=stop,
                        num_records=stop - start,
                        names=names[start:stop],
                    )
                )
        return tuple(units)

    def _images(self) -> tuple[InputFile, ...]:
        return self.inputs()

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        here, _ = list_folder(unit.uri)
        names = {file.uri.rpartition("/")[2] for file in here}
        for image in unit.names:
            caption, problem = self._caption(unit.uri, image, names)
            uri = join_url(unit.uri, image)
            error = problem
            if image not in names:
                error = (Status.IMAGE_MISSING, f"{uri} is gone since the run was planned")
            key = record_id(self.source, "", self._relative(uri))
            yield from self._pairs(key, caption, image_uri=text_url(uri), error=error)

    def _caption(
        self, folder: str, image: str, names: Collection[str]
    ) -> tuple[object, Problem | None]:
        """What the text file beside an image says, and what is wrong with it."""
        stem = image.rpartition(".")[0]
        name = next((f"{stem}.{e}" for e in (*TEXT_ENDINGS, "json") if f"{stem}.{e}" in names), "")
        if not name:
            return None, None
        url = join_url(folder, name)
        try:
            self.access.require(url)
            if stat_file(url).size > MAX_TEXT_MEMBER:
                return None, (
                    Status.RECORD_INVALID,
                    f"{name} is larger than {MAX_TEXT_MEMBER:,} bytes",
                )
            data = read_bytes(url, 0, MAX_TEXT_MEMBER)
        except RecordError as error:
            return None, (Status.RECORD_INVALID, error.detail)
        except RetryableError:
            raise
        except (GlipforgeError, OSError) as error:
            return None, (Status.RECORD_INVALID, f"{name} cannot be read: {reason_of(error)}")
        if not name.endswith(".json"):
            return file_text(data), None
        row, problem = read_json_row(data)
        wanted = self.options.caption_field
        usual = CAPTIONS if wanted is None else (wanted,)
        return next((row[key] for key in usual if row.get(key) is not None), None), problem

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        raise RuntimeError("units of image files are ranges of a folder, see `units`")


def _folder(file: InputFile) -> str:
    return file.uri.rpartition("/")[0]


def _by_folder(file: InputFile) -> tuple[str, str]:
    return _folder(file), file.uri
