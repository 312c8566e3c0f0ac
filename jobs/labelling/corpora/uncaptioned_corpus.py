"""A corpus whose images are to be captioned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from jobs.labelling.corpora.corpus import OtherCaptions
from pipeline.labelling.captions import HAS_ONE, UNCAPTIONED
from schemas.plan import Unit
from schemas.records import CorpusRecord, Status


@dataclass(frozen=True)
class UncaptionedCorpus(OtherCaptions):
    """The images of a corpus, to be captioned: all, or those without a caption."""

    only_missing: bool

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit; one that has a caption and needs none goes through unasked."""
        for record in self.corpus.read(unit):
            is_missing = record.error is not None and record.error[0] is Status.CAPTION_MISSING
            if is_missing or (record.error is None and not self.only_missing):
                yield replace(record, caption=UNCAPTIONED, error=None)
            elif record.error is None:
                yield replace(record, caption=HAS_ONE)
            else:
                yield record
            del record  # it may hold an image, which must go before the next one is read

    def fingerprint(self) -> Mapping[str, object]:
        """What changes the records besides the files."""
        only = {"captioned": "missing"} if self.only_missing else {}
        return {**self.corpus.fingerprint(), **only}
