"""The last check of a record on its way out: what is written of it, and what is counted."""

from __future__ import annotations

from dataclasses import replace

from pipeline.curation.negatives import negative_phrases
from pipeline.export.gold_facts import facts_of
from pipeline.export.image_files import ImagePlaces
from pipeline.export.options import ExportOptions, ExportSummary
from pipeline.gold.licenses import license_text
from schemas.checks import check_curated
from schemas.records import (
    MADE_CAPTION,
    PEOPLE,
    CuratedBox,
    CuratedRecord,
    Phrase,
    Span,
)

NO_BOX = "pair without a box, which this format cannot say"
CROWD = "region to ignore (crowd, group or difficult object), which this format cannot say"
NEGATIVE_OVERLAP = "negative phrase that overlaps or repeats a named one"


class ExportBorder:
    """Checks records on their way out and counts into a summary."""

    def __init__(
        self,
        summary: ExportSummary,
        options: ExportOptions,
        images: ImagePlaces,
        *,
        empty: bool,
        crowds: bool = False,
    ) -> None:
        self.summary = summary
        self.options = options
        self.images = images
        self._keeps_empty = empty
        self._has_crowds = crowds

    def accept(self, record: CuratedRecord) -> bool:
        """True where the record can be written; it is checked again first.

        Raises:
            DataError: a span does not hold its text, or a box leaves its image.
        """
        where = f"export, record {self.summary.records}"
        check_curated(record, where)
        if not record.boxes and not self._keeps_empty:
            self.summary.left_out[NO_BOX] += 1
            return False
        return True

    def count(self, record: CuratedRecord, split: str) -> None:
        """Count a record that is written."""
        self.summary.records += 1
        self.summary.split_pairs[split] += 1
        self.summary.teachers[record.teacher_id] += 1
        self.summary.policies[record.policy_id] += 1
        self.summary.origins.update(box.origin for box in record.boxes)
        self.summary.empty += not record.boxes
        self.summary.boxes += len(record.boxes)
        self.summary.captions_made += record.caption_origin == MADE_CAPTION
        self.summary.spans += sum(len(box.phrase_indices) for box in record.boxes)
        facts = facts_of(record)
        if stated := license_text(facts.license, facts.license_url):
            self.summary.licenses[stated] += 1
        if facts.crowds and not self._has_crowds:
            self.summary.left_out[CROWD] += len(facts.crowds)

    def negatives(self, record: CuratedRecord) -> list[Phrase]:
        """Phrases that are known to have no box; those that overlap a named span are counted."""
        found, overlapping = negative_phrases(record, self.options.negative_below)
        if overlapping:
            self.summary.left_out[NEGATIVE_OVERLAP] += overlapping
        self.summary.negatives += len(found)
        return [record.phrases[index] for index in found]


def with_gold_origin(record: CuratedRecord) -> CuratedRecord:
    """Of an imported run, the boxes that nobody touched since are `gold`, not the teacher's."""
    if not record.teacher_id.startswith(PEOPLE):
        return record
    boxes = (replace(b, origin="gold") if b.origin == "teacher" else b for b in record.boxes)
    return replace(record, boxes=tuple(boxes))


def box_spans(record: CuratedRecord, box: CuratedBox) -> list[Span]:
    """The spans that name a box, in the order of the caption, each once."""
    spans = {(record.phrases[i].start, record.phrases[i].end) for i in box.phrase_indices}
    return sorted(spans)


def caption_mark(record: CuratedRecord) -> dict[str, str]:
    """`caption_origin: made`, where a captioner made the caption; nothing where it was there."""
    made = record.caption_origin == MADE_CAPTION
    return {"caption_origin": record.caption_origin} if made else {}


def size_of(record: CuratedRecord) -> tuple[int, int]:
    """(width, height)."""
    return record.width, record.height
