"""What run.json says of the starts of a labelling."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.labelling.running import Running
from schemas.redaction import redact

if TYPE_CHECKING:
    from jobs.labelling.setup import LabelSetup
    from pipeline.run.store import RunStore


def write_start(
    store: RunStore, setup: LabelSetup, running: Running, size: int, gate: dict[str, Any]
) -> None:
    """Write run.json: of each start what changes no row, of the first also who made it.

    Args:
        size: pairs of a unit.
        gate: what gold said of the teacher; empty where nothing was required.
    """
    from pipeline.run.info import (
        RunInfo,
        RunStart,
        package_versions,
        read_run_info,
        write_run_info,
    )

    start = RunStart(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        running=asdict(running),
        command=tuple(redact(word) for word in sys.argv),
        packages=package_versions(),
    )
    info = RunInfo(
        teacher_id=setup.teacher_id(),
        plan=store.plan_id(),
        config=dict(store.plan().config),
        records_per_unit=size,
        starts=(*read_run_info(store).starts, start),
        scores=getattr(setup, "scores", lambda: None)(),
        gate=gate,
    )
    write_run_info(store, info)
