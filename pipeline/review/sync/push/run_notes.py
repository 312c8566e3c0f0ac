"""What a run knows about its boxes: its queue, its audits, and what a policy keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain

from pipeline.curation.kept_boxes import kept_box_ids
from pipeline.curation.rules.filter_result import KEPT, MERGED
from pipeline.curation.rules.filters import filter_rows
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import read_column
from pipeline.review.sync.label.notes import Notes, Suspicion
from pipeline.run.store import RunStore
from pipeline.storage.files import exists
from pipeline.trust.audit_sample import read_audits
from pipeline.trust.suspects import queue_path, read_queue
from pipeline.trust.usual import OPINIONS, opinion_columns
from schemas.records import Annotation

STABILITY_COLUMN = OPINIONS["stability"]


def read_notes(run: RunStore, policy: FilterPolicy, *, show_all: bool = False) -> Notes:
    """The notes of a run.

    Args:
        run: a labelled run.
        policy: whose queue is read, and what shows by default.
        show_all: every box shows by default, whatever the policy keeps.

    Raises:
        ConfigError: the policy needs a layer or a calibration that the run does not have.
        DataError: the queue or an audit is damaged.
    """
    suspects: dict[str, Suspicion] = {}
    missing: dict[str, Suspicion] = {}
    found = read_queue(run, policy) if exists(queue_path(run, policy)) else []
    for one in found:
        suspicion = Suspicion(score=float(one.queue_score), reasons=one.queue_reasons)
        if one.box_id:
            suspects[one.box_id] = suspicion
        else:
            missing.setdefault(one.record_id, suspicion)
    columns, said = opinion_columns(run)
    drawn = [ids for audit in read_audits(run) for ids in audit.box_ids().values()]
    return Notes(
        suspects=suspects,
        missing=missing,
        audited=frozenset().union(*drawn),
        keeps=None if show_all else _keeper(run, policy),
        again=_StabilityByUnit(run).of if STABILITY_COLUMN in columns else None,
        said=tuple(sentence for sentence in said if sentence.startswith(STABILITY_COLUMN)),
    )


class _StabilityByUnit:
    """The layer `stability`, read unit by unit as a push comes to them: never whole in memory."""

    def __init__(self, run: RunStore) -> None:
        self._run = run
        self._commits = list(run.commits().values())
        self._next = 0
        self._unit: dict[str, float] = {}

    def of(self, row: Annotation) -> Mapping[str, float]:
        """The values of the boxes of a pair; those that the layer has none of are left out."""
        for _ in chain([None], self._commits):
            if not row.boxes or row.boxes[0].box_id in self._unit:
                break
            self._read_next()
        return {
            box.box_id: value
            for box in row.boxes
            if (value := self._unit.get(box.box_id)) is not None and value == value
        }

    def _read_next(self) -> None:
        commit = self._commits[self._next % len(self._commits)]
        self._next += 1
        column = read_column(self._run, STABILITY_COLUMN, [commit])
        self._unit = dict(zip(column.keys.to_pylist(), column.values.tolist(), strict=True))


def _keeper(run: RunStore, policy: FilterPolicy) -> Callable[[Annotation], frozenset[str]]:
    """What a policy keeps of a pair, also what it merges onto others."""
    if policy.layer_columns() or policy.min_precision is not None:
        kept = kept_box_ids(run, policy)  # rows know no layers: the columns are asked
        return lambda row: kept.get(row.record_id, frozenset())

    def keeps(row: Annotation) -> frozenset[str]:
        result = filter_rows([row], policy)[0]
        passed = zip(row.boxes, result.reasons, strict=True)
        return frozenset(box.box_id for box, reason in passed if reason in (KEPT, MERGED))

    return keeps
