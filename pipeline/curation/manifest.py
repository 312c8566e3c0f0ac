"""What a curation did, and its JSON text: the manifest beside the curated files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, with_config

from pipeline.curation.label_counts import LabelCounts
from pipeline.curation.rules.filter_result import DropCounts
from schemas.checked import STRICT, from_json, to_plain
from schemas.counts import Counts, Number
from schemas.errors import DataError

MANIFEST_VERSION = 4


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class CuratedFile:
    """One Parquet file of a curation."""

    name: Annotated[
        str,
        # A manifest may come from others: it names files beside it, nothing else.
        Field(
            pattern=r"\A[^/\\\x00.][^/\\\x00]*\.parquet\z",
            description="the name of a Parquet file beside it",
        ),
    ]
    num_rows: Number
    sha256: str

    @property
    def unit_id(self) -> str:
        """The unit whose records it holds."""
        return self.name.rpartition("-")[0]


@with_config(STRICT)
@dataclass(kw_only=True)
class CurateStats:
    """What a curation did; the manifest of the curated files holds the same."""

    policy_id: str
    decisions_id: str
    annotations_id: str
    """Fingerprint of the committed annotation files that were read."""
    is_complete: bool
    """False where the run was still going: units without a commit are not in."""
    calibration_id: str = ""
    """The calibration that a `min_precision` was read from; empty without one."""
    layers_id: str = ""
    """The layers that the policy read; empty without any."""
    negative_below: float = 0.1
    """The policy's: which phrases without a label are negatives."""
    drops: DropCounts = field(default_factory=DropCounts)
    records_out: Number = 0
    boxes_out: Counts = field(default_factory=Counter)
    """Origin -> boxes."""
    decisions_applied: Counts = field(default_factory=Counter)
    """Verdict -> boxes it was the last word on; `restored`: KEEP or EDIT of a dropped box;
    `clipped`: drawn partly outside of the image."""
    records_decided: Counts = field(default_factory=Counter)
    """`restored`: pairs that the policy left out and people brought back; `emptied`: pairs that
    the policy keeps and whose every box people took away; `bad`: pairs that the policy keeps and
    people called bad."""
    second_spans: Number = 0
    """Phrases that boxes carry beside those that the teacher was asked for."""
    files: list[CuratedFile] = field(default_factory=list)
    """In the order of the plan."""
    candidates: LabelCounts | None = None
    """Of the annotations that were read; None in a part of a run."""
    labels: LabelCounts | None = None
    """Of the curated rows; None in a part of a run."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """Every field of the policy, in the manifest."""
    version: int = MANIFEST_VERSION

    @property
    def made_of(self) -> tuple[str | bool, ...]:
        """What tells a curation that is up to date from an older one of its policy."""
        ids = (self.annotations_id, self.decisions_id, self.calibration_id, self.layers_id)
        return (*ids, self.is_complete)

    def merge(self, other: CurateStats) -> None:
        """Add the counts and files of the next part of the run; `candidates` and `labels` are not
        counts and are left alone."""
        self.drops.merge(other.drops)
        self.records_out += other.records_out
        self.boxes_out.update(other.boxes_out)
        self.decisions_applied.update(other.decisions_applied)
        self.records_decided.update(other.records_decided)
        self.second_spans += other.second_spans
        self.files += other.files

    def to_json(self) -> str:
        """The text of the manifest."""
        return json.dumps(to_plain(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> CurateStats:
        """Read a manifest; `where` names the file in errors.

        Raises:
            DataError: the text is not a manifest of a version this code reads.
        """
        return from_json(
            cls,
            text,
            where=where,
            what="manifest of curated files",
            version=MANIFEST_VERSION,
            error=DataError,
            way_out="run glipforge filter again",
        )


def empty_stats(of: CurateStats) -> CurateStats:
    """Stats with the same ids and no counts."""
    return CurateStats(
        policy_id=of.policy_id,
        decisions_id=of.decisions_id,
        annotations_id=of.annotations_id,
        is_complete=of.is_complete,
        calibration_id=of.calibration_id,
        negative_below=of.negative_below,
    )
