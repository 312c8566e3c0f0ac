"""A folder of images without a list: captions come from a text file beside each, if there is one.

This is also how img2dataset writes with `output_format=files`: `000.jpg`, `000.txt`, `000.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from pipeline.corpus.captions import file_text
from pipeline.corpus.corpus import RECORDS_PER_UNIT, Corpus, Part
from pipeline.corpus.field_names import CAPTIONS
from pipeline.corpus.options import CorpusOptions
from pipeline.corpus.record_ids import record_id, unit_id
from pipeline.corpus.webdataset import IMAGE_ENDINGS, TEXT_ENDINGS, read_json_row
from pipeline.storage import list_folder, read_bytes
from schemas.errors import ConfigError, UnitError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord

IMAGE_FILES = "images"
"""Kind of a unit of image files of one folder, by their place in the sorted names."""


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
        for folder, group in groupby(sorted(self.inputs(), key=_by_folder), key=_folder):
            count = sum(1 for _ in group)
            for start in range(0, count, records_per_unit):
                stop = min(start + records_per_unit, count)
                units.append(
                    Unit(
                        unit_id=unit_id(self._relative(folder), start),
                        uri=folder,
                        kind=IMAGE_FILES,
                        start=start,
                        stop=stop,
                        num_records=stop - start,
                    )
                )
        return tuple(units)

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        here, _ = list_folder(unit.uri)
        names = {file.uri for file in here}
        images = sorted(name for name in names if _is_image(name))
        if len(images) < unit.stop:
            raise UnitError(f"{unit.uri} had {unit.stop:,} images or more, now {len(images):,}")
        for image in images[unit.start : unit.stop]:
            stem = image.rpartition(".")[0]
            text = next((f"{stem}.{e}" for e in TEXT_ENDINGS if f"{stem}.{e}" in names), None)
            caption: object = None
            if text is not None:
                caption = file_text(read_bytes(text))
            elif f"{stem}.json" in names:
                row, _ = read_json_row(read_bytes(f"{stem}.json"))
                wanted = self.options.caption_field
                usual = CAPTIONS if wanted is None else (wanted,)
                caption = next((row[name] for name in usual if row.get(name) is not None), None)
            yield from self._pairs(
                record_id(self.source, "", self._relative(image)), caption, image_uri=image
            )

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        raise RuntimeError("units of image files are ranges of a folder, see `units`")


def _is_image(name: str) -> bool:
    base = name.rpartition("/")[2]
    return not base.startswith((".", "__")) and base.rpartition(".")[2].lower() in IMAGE_ENDINGS


def _folder(file: InputFile) -> str:
    return file.uri.rpartition("/")[0]


def _by_folder(file: InputFile) -> tuple[str, str]:
    return _folder(file), file.uri
