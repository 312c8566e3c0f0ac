"""The queue as a file: labels that are probably wrong, each with its reasons."""

from __future__ import annotations

import heapq
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.curation.calibration import FOLDER, base_policy
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.storage.files import exists, read_bytes
from pipeline.storage.parquet_bytes import table_of
from schemas.errors import ConfigError

QUEUE_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("box_id", pa.string()),
        ("phrase", pa.string()),
        ("queue_score", pa.float32()),
        ("queue_reasons", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One label that is probably wrong, or a phrase with too few boxes (`box_id` is empty)."""

    record_id: str
    box_id: str
    phrase: str
    queue_score: float
    queue_reasons: tuple[str, ...]


class TopSuspects:
    """The most suspicious so far; of equal ones those that came first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, Suspect]] = []
        self._seen = 0

    @property
    def least(self) -> float:
        """What a suspect must exceed."""
        return self._heap[0][0] if len(self._heap) == self._size else -1.0

    def add(self, suspect: Suspect) -> None:
        """Take it in if it is among the most suspicious."""
        self._seen += 1
        entry = (suspect.queue_score, -self._seen, suspect)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> list[Suspect]:
        """Most suspicious first."""
        return [suspect for _, _, suspect in sorted(self._heap, key=lambda e: (-e[0], -e[1]))]


def write_queue(run: RunStore, policy: FilterPolicy, suspects: Sequence[Suspect]) -> str:
    """Write RUN/trust/queue-<policy>.parquet, in order; returns its address."""
    columns = {field.name: [getattr(one, field.name) for one in suspects] for field in QUEUE_SCHEMA}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=QUEUE_SCHEMA), buffer, compression="zstd")
    return run.write(buffer.getvalue(), FOLDER, _file_name(policy))


def read_queue(run: RunStore, policy: FilterPolicy) -> list[Suspect]:
    """The queue of a policy, most suspicious first.

    Raises:
        ConfigError: there is none.
    """
    where = queue_path(run, policy)
    if not exists(where):
        raise ConfigError(
            f"the run has no queue of policy {base_policy(policy).policy_id}; glipforge queue RUN "
            "makes one"
        )
    rows = table_of(read_bytes(where)).to_pylist()
    return [Suspect(**(row | {"queue_reasons": tuple(row["queue_reasons"])})) for row in rows]


def queue_path(run: RunStore, policy: FilterPolicy) -> str:
    """Where the queue of a policy stands."""
    return run.url(FOLDER, _file_name(policy))


def _file_name(policy: FilterPolicy) -> str:
    return f"queue-{base_policy(policy).policy_id}.parquet"
