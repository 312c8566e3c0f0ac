"""WebDataset tars: members `<key>.jpg`, `<key>.txt`, `<key>.json` in a row make a sample.

Units of a divided tar are ranges of bytes that begin at a sample's first header, found by one
scan of the headers when the run is planned; reading a unit is then one pass over its range.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext, suppress
from typing import Any, BinaryIO, ClassVar

from pipeline.corpus.captions import file_text
from pipeline.corpus.corpus import WHOLE_FILE, Corpus, Part
from pipeline.corpus.field_names import CAPTIONS
from pipeline.corpus.formats.tar_samples import (
    IMAGE_ENDINGS,
    TEXT_ENDINGS,
    Sample,
    has_dotted_keys,
    iter_samples,
)
from pipeline.corpus.image_paths import leaves_folder
from pipeline.corpus.options import CorpusOptions
from pipeline.storage.files import is_local
from pipeline.storage.inflation import GZIP_ERRORS, gzip_reason
from pipeline.storage.tar_members import (
    TarDamage,
    is_gzip,
    open_tar,
    read_exactly,
)
from schemas.errors import UnitError
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord, Status

SAMPLES = "samples"
"""Kind of a unit of samples whose first header is in a byte range."""
REMOTE_SCAN_BYTES = 4 * 2**30
"""Headers of a remote tar are only scanned where it is larger: the scan reads most of it."""
MAX_IMAGE_MEMBER = 256 * 2**20
MAX_TEXT_MEMBER = 16 * 2**20
"""Bytes of a member that is read: a compressed archive may hold a thousand times its own size."""


class WebdatasetCorpus(Corpus):
    """Record id: `source/shard/key`."""

    format = "webdataset"
    max_files_divided: ClassVar[int] = 256

    def __init__(
        self, uri: str, root: str, files: tuple[InputFile, ...], options: CorpusOptions
    ) -> None:
        """Look at the first samples: keys end at the first dot, but where no image is found so."""
        super().__init__(uri, root, files, options)
        self.has_dotted_keys = options.image_field is None and has_dotted_keys(files[0].uri)
        self.explanation = f"{len(files):,} tar(s)"
        if self.has_dotted_keys:
            self.explanation += "; keys hold dots, and end at the last one"

    def fingerprint(self) -> dict[str, object]:
        """With the rule for keys, where it is not WebDataset's."""
        found: dict[str, object] = {"has_dotted_keys": True} if self.has_dotted_keys else {}
        return super().fingerprint() | found

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        yield from self._read_samples(unit, set())

    def _read_samples(self, unit: Unit, keys: set[str]) -> Iterator[CorpusRecord]:
        """The records of a unit; `keys` gets those of the samples that were met."""
        stop = None if unit.kind == WHOLE_FILE else unit.stop
        is_empty = True
        with (
            open_tar(unit.uri) as stream,
            # Going back in packed data unpacks it from its start: headers are read ahead of data.
            open_tar(unit.uri) if is_gzip(unit.uri) else nullcontext(stream) as data,
        ):
            try:
                for sample in iter_samples(stream, unit.start, stop, self.has_dotted_keys):
                    is_empty = False
                    keys.add(sample.key)
                    yield from self._sample_records(unit.uri, data, sample)
            except TarDamage as damage:
                if is_empty and damage.offset == 0:
                    raise UnitError(f"{unit.uri} is not a tar archive: it {damage}") from damage
                detail = f"the archive {damage}; what may follow is lost"
                yield self._broken(unit.uri, f"@{damage.offset}", detail)
            except GZIP_ERRORS as error:
                if is_empty:
                    raise UnitError(f"{unit.uri}: {gzip_reason(error)}") from error
                detail = f"{gzip_reason(error)}; what follows is lost"
                yield self._broken(unit.uri, "@damage", detail)
            else:
                if is_empty and unit.kind == WHOLE_FILE:
                    yield self._broken(unit.uri, "", "the archive holds no samples")

    def _sample_records(self, uri: str, stream: BinaryIO, sample: Sample) -> Iterator[CorpusRecord]:
        record = self._id(uri, sample.key)
        problem = _member_problem(sample)
        if problem is not None:
            yield from self._pairs(record, None, error=problem)
            return
        image = self._image_member(sample)
        parts: dict[str, bytes | None] = {}
        caption_endings = [e for e in (*self._text_endings(), "json") if e in sample.members]
        wanted = [*([image] if image else []), *caption_endings]
        for ending in sorted(wanted, key=lambda e: sample.members[e].data_start):
            member = sample.members[ending]
            most = MAX_IMAGE_MEMBER if ending == image else MAX_TEXT_MEMBER
            if member.size > most:
                status = Status.IMAGE_TOO_LARGE if ending == image else Status.RECORD_INVALID
                detail = f"its member {member.name!r} has {member.size:,} bytes; at most {most:,}"
                yield from self._pairs(record, None, error=(status, f"{detail} are read"))
                return
            with suppress(*GZIP_ERRORS):  # the archive's own row says why
                parts[ending] = read_exactly(stream, member.data_start, member.size)
            if parts.get(ending) is None:
                detail = f"the archive ends inside its member {member.name!r}"
                yield from self._pairs(record, None, error=(Status.RECORD_INVALID, detail))
                return
        row, problem = read_json_row(parts.get("json"))
        text = next((parts[e] for e in caption_endings if e != "json"), None)
        caption: Any = file_text(text) if text is not None else self._json_caption(row)
        if text is not None or caption is not None:
            problem = None  # a broken .json beside a good .txt costs nothing
        if self.options.id_field is not None:
            value = row.get(self.options.id_field)
            if isinstance(value, str | int) and value != "":
                record = self._id(uri, str(value))
            else:
                detail = f"its .json has no usable id {self.options.id_field!r}: {value!r:.80}"
                problem = problem or (Status.RECORD_INVALID, detail)
        if image is None and problem is None:
            have = ", ".join(sample.members)
            problem = (Status.IMAGE_MISSING, f"the sample has no image member, only: {have}")
        yield from self._pairs(
            record,
            caption,
            image_bytes=parts[image] if image else None,
            image_uri=f"{uri}#{sample.members[image].name}" if image else None,
            error=problem,
        )

    def _image_member(self, sample: Sample) -> str | None:
        wanted = self.options.image_field
        endings: Iterable[str] = IMAGE_ENDINGS if wanted is None else (wanted.lower(),)
        return next((ending for ending in endings if ending in sample.members), None)

    def _text_endings(self) -> tuple[str, ...]:
        """Members that are a caption; a chosen field may also be a key of the `.json`."""
        wanted = self.options.caption_field
        return TEXT_ENDINGS if wanted is None else (wanted.lower(),)

    def _json_caption(self, row: dict[str, Any]) -> Any:
        wanted = self.options.caption_field
        names = CAPTIONS if wanted is None else (wanted,)
        return next((row[name] for name in names if row.get(name) is not None), None)

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        return self._divide_tar(file, records_per_unit, frozenset())

    def _divide_tar(
        self, file: InputFile, records_per_unit: int, elsewhere: Collection[str]
    ) -> list[Part]:
        """Ranges of samples; the whole file where an id repeats, also one of those `elsewhere`."""
        whole = [Part(WHOLE_FILE, 0, file.size, -1)]
        if is_gzip(file.uri) or (not is_local(file.uri) and file.size < REMOTE_SCAN_BYTES):
            return whole
        starts: list[int] = []
        keys: set[str] = set()
        several: list[int] = []  # samples whose .json may hold a list of captions
        damaged_from: int | None = None
        with open_tar(file.uri) as stream:
            try:
                for number, sample in enumerate(
                    iter_samples(stream, 0, file.size, self.has_dotted_keys)
                ):
                    starts.append(sample.header_start)
                    keys.add(self._id(file.uri, sample.key))
                    if self._may_hold_several(sample):
                        several.append(number)
            except TarDamage:
                damaged_from = len(starts)  # reading the last unit meets it again and says so
        # Ids must not repeat across units: such a file stays whole, and its reader sees them.
        if len(keys) < len(starts) or self.options.id_field is not None or not starts:
            return whole
        if not keys.isdisjoint(elsewhere):
            return whole
        firsts = range(0, len(starts), records_per_unit)
        uncounted = {number // records_per_unit for number in several}
        if damaged_from is not None:
            uncounted.add(len(firsts) - 1)
        return [
            Part(
                SAMPLES,
                starts[first],
                starts[first + records_per_unit]
                if first + records_per_unit < len(starts)
                else file.size,
                -1 if ordinal in uncounted else min(records_per_unit, len(starts) - first),
            )
            for ordinal, first in enumerate(firsts)
        ]

    def _may_hold_several(self, sample: Sample) -> bool:
        return (
            self.options.captions == "all"
            and "json" in sample.members
            and not any(ending in sample.members for ending in self._text_endings())
        )


def _member_problem(sample: Sample) -> tuple[Status, str] | None:
    for member in sample.members.values():
        if member.name.startswith("/") or leaves_folder(member.name):
            detail = f"the member name {member.name!r} leaves the archive"
            return (Status.RECORD_INVALID, detail)
        if member.kind != "file":
            return (Status.RECORD_INVALID, f"the member {member.name!r} is a {member.kind}")
    return None


def read_json_row(data: bytes | None) -> tuple[dict[str, Any], tuple[Status, str] | None]:
    """The object in a `.json` beside an image; empty, with the reason, where it is broken."""
    if data is None:
        return {}, None
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, (Status.RECORD_INVALID, f"its .json is broken: {error}")
    if not isinstance(row, dict):
        return {}, (Status.RECORD_INVALID, f"its .json must hold an object, got {row!r:.40}")
    return row, None
