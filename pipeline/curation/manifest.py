"""What a curation did, and its JSON text: the manifest beside the curated files."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.curation.filter_result import DropCounts
from pipeline.curation.policy import FilterPolicy
from schemas.errors import DataError

MANIFEST_VERSION = 2


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
    drops: DropCounts = field(default_factory=DropCounts)
    records_out: int = 0
    boxes_out: Counter[str] = field(default_factory=Counter)
    """Origin -> boxes."""
    decisions_applied: Counter[str] = field(default_factory=Counter)
    """Verdict -> boxes it was the last word on; `restored`: KEEP or EDIT of a dropped box;
    `clipped`: drawn partly outside of the image."""
    records_decided: Counter[str] = field(default_factory=Counter)
    """`restored`: pairs that the policy left out and people brought back; `emptied`: pairs that
    the policy keeps and whose every box people took away; `bad`: pairs that the policy keeps and
    people called bad."""
    files: list[dict[str, Any]] = field(default_factory=list)
    """name, num_rows and sha256 of every file, in order."""
    candidates: dict[str, Any] = field(default_factory=dict)
    """`LabelStats` of the annotations that were read, as JSON; empty in a part of a run."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Likewise of the curated rows."""

    def merge(self, other: CurateStats) -> None:
        """Add the counts and files of the next part of the run; `candidates` and `labels` are not
        counts and are left alone."""
        self.drops.merge(other.drops)
        self.records_out += other.records_out
        self.boxes_out.update(other.boxes_out)
        self.decisions_applied.update(other.decisions_applied)
        self.records_decided.update(other.records_decided)
        self.files += other.files

    def to_json(self, policy: FilterPolicy) -> str:
        """The text of the manifest; it also holds every field of the policy."""
        # Not asdict: it rebuilds a Counter from pairs, which counts the pairs.
        content = vars(self) | {"drops": vars(self.drops)}
        content |= {"version": MANIFEST_VERSION, "policy": asdict(policy)}
        return json.dumps(content, indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> CurateStats:
        """Read a manifest; `where` names the file in errors.

        Raises:
            DataError: the text is not a manifest of a version this code reads.
        """
        try:
            raw = json.loads(text)
            if raw.pop("version") != MANIFEST_VERSION:
                raise ValueError(f"its version is not {MANIFEST_VERSION}")
            raw.pop("policy")
            drops = raw.pop("drops")
            for key in ("boxes_dropped", "records_dropped"):
                drops[key] = Counter(drops[key])
            for key in ("boxes_out", "decisions_applied", "records_decided"):
                raw[key] = Counter(raw[key])
            return cls(drops=DropCounts(**drops), **raw)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{where} is not a manifest of curated files ({error}); run glipforge filter again"
            ) from error


def empty_stats(of: CurateStats) -> CurateStats:
    """Stats with the same ids and no counts."""
    return CurateStats(
        policy_id=of.policy_id,
        decisions_id=of.decisions_id,
        annotations_id=of.annotations_id,
        is_complete=of.is_complete,
        calibration_id=of.calibration_id,
    )
