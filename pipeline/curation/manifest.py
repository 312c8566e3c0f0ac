"""What a curation did, and its JSON text: the manifest beside the curated files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.curation.label_stats import check_label_stats, is_count, is_counts
from pipeline.curation.rules.filter_result import DropCounts
from pipeline.curation.rules.policy import FilterPolicy
from schemas.damage import whole
from schemas.errors import DataError

MANIFEST_VERSION = 2
_FILE = re.compile(r"[^/\\\0.][^/\\\0]*\.parquet")


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
    second_spans: int = 0
    """Phrases that boxes carry beside those that the teacher was asked for."""
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
        self.second_spans += other.second_spans
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
        with whole(where, "run glipforge filter again"):
            return cls._parse(text, where)

    @classmethod
    def _parse(cls, text: str | bytes, where: str) -> CurateStats:
        try:
            raw = json.loads(text)
            if raw.pop("version") != MANIFEST_VERSION:
                raise ValueError(f"its version is not {MANIFEST_VERSION}")
            raw.pop("policy")
            drops = raw.pop("drops")
            check_drops(drops)
            for counts, keys in (
                (drops, ("boxes_dropped", "records_dropped")),
                (raw, ("boxes_out", "decisions_applied", "records_decided")),
            ):
                for key in keys:
                    if not is_counts(counts[key]):
                        raise ValueError(f"{key} does not hold counts")
                    counts[key] = Counter(counts[key])
            for key in ("candidates", "labels"):
                if raw[key]:  # of a whole run
                    check_label_stats(raw[key])
            for entry in raw["files"]:
                name, number, digest = entry["name"], entry["num_rows"], entry["sha256"]
                # A manifest may come from others: it names files beside it, nothing else.
                if _FILE.fullmatch(name) is None or not isinstance(digest, str):
                    raise ValueError(f"files must be Parquet files beside it, got {name!r}")
                if not is_count(number):
                    raise ValueError(f"num_rows of {name!r} is not a count")
            for key in ("records_out", "second_spans"):
                if not is_count(raw.get(key, 0)):  # second_spans came later
                    raise ValueError(f"{key} is not a count")
            return cls(drops=DropCounts(**drops), **raw)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{where} is not a manifest of curated files ({error}); run glipforge filter again"
            ) from error


def check_drops(raw: Mapping[str, Any]) -> None:
    """Fields of a `DropCounts` as a file has kept them.

    Raises:
        ValueError: they cannot be that; names the field.
    """
    for name, example in vars(DropCounts()).items():
        fits = is_counts if isinstance(example, Counter) else is_count
        if not fits(raw[name]):
            raise ValueError(f"{name} does not hold counts")


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
