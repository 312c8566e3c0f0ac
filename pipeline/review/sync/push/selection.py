"""Which pairs and boxes a push shows: all candidates above a score, or what a policy keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.curation.rules.filter_result import KEPT, MERGED
from pipeline.curation.rules.filters import filter_rows
from pipeline.curation.rules.policy import FilterPolicy
from schemas.errors import ConfigError
from schemas.records import Annotation


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What reviewers see. Boxes that were decided about are shown whatever this says.

    Raises:
        ConfigError: `min_score` is not a share.
    """

    min_score: float = 0.0
    """Show candidates with at least this score."""
    policy: FilterPolicy | None = None
    """Show what this policy keeps, also the boxes it merges onto others; leave out the pairs that
    it leaves out."""
    box_ids: Mapping[str, frozenset[str]] | None = None
    """record_id -> the boxes of a queue; other pairs are left out."""
    leaves_judged_out: bool = False
    """Of those other pairs also the ones that people judged."""
    queue: str = ""
    """What such a queue is called."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_score <= 1.0:
            raise ConfigError(f"min_score must be in [0, 1], got {self.min_score!r}")

    @property
    def name(self) -> str:
        """What the dataset says about itself."""
        if self.box_ids is not None:
            return self.queue
        return "all candidates" if self.policy is None else self.policy.policy_id

    def shown_box_ids(self, row: Annotation) -> frozenset[str] | None:
        """The boxes of a pair to show; None where the pair is left out."""
        if row.status.is_quarantined:
            return None
        if self.box_ids is not None:
            return self.box_ids.get(row.record_id)
        box_ids = {box.box_id for box in row.boxes if box.score >= self.min_score}
        if self.policy is None:
            return frozenset(box_ids)
        result = filter_rows([row], self.policy)[0]
        if result.image_reason != KEPT:
            return None
        passed = {
            box.box_id
            for box, reason in zip(row.boxes, result.reasons, strict=True)
            if reason in (KEPT, MERGED)
        }
        return frozenset(box_ids & passed)
