"""Counters of a worker for Ray's metrics endpoint and dashboard."""

from __future__ import annotations

from pipeline.run.commit_unit import CommitOutcome


class LabelMetrics:
    """Rows by status, boxes, units, and seconds by stage. Final counts come from the markers."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter

        self._rows = Counter(
            "glipforge_rows_total", description="rows committed", tag_keys=("status",)
        )
        self._boxes = Counter("glipforge_boxes_total", description="candidate boxes committed")
        self._units = Counter("glipforge_units_total", description="units committed")
        self._seconds = Counter(
            "glipforge_stage_seconds_total", description="seconds by stage", tag_keys=("stage",)
        )

    def add(self, outcome: CommitOutcome) -> None:
        """Count a committed unit; one that another attempt had committed counts there."""
        if not outcome.won:
            return
        commit = outcome.commit
        self._units.inc(1)
        if commit.num_boxes:
            self._boxes.inc(commit.num_boxes)
        for status, number in commit.status_counts.items():
            self._rows.inc(number, tags={"status": status})
        for stage, seconds in commit.seconds.items():
            if seconds > 0:
                self._seconds.inc(seconds, tags={"stage": stage})
