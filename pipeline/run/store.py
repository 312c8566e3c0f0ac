"""A run directory, on a disk or an object store: its plan, its commits and their rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from os import PathLike
from shlex import quote

from pipeline.run.commit_protocol import (
    ANNOTATIONS,
    QUARANTINE,
    as_json,
    check_counts,
    decode_rows,
)
from pipeline.run.committed import CommittedUnits, Recovery
from pipeline.run.plan_difference import check_unit_ids, require_same_plan
from pipeline.run.totals import RunTotals
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import create_bytes, read_bytes, remove
from schemas.damage import whole
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import fingerprint
from schemas.plan import CommittedFile, Plan, Unit, UnitCommit
from schemas.records import Annotation, Status

PLAN = "_plan.json"
SUCCESS = "_SUCCESS"


class RunStore(CommittedUnits):
    """One run. Cheap to make; nothing is read or written before it is asked for.

    Args:
        uri: A directory, or a URL such as s3://bucket/runs/1.
    """

    def __init__(self, uri: str | PathLike[str]) -> None:
        super().__init__(uri)
        self._plan: Plan | None = None
        self._plan_id = ""

    # --- plan ------------------------------------------------------------------------------------

    def write_plan(self, plan: Plan) -> Plan:
        """Write the plan if there is none; of any number of drivers one writes it.

        Raises:
            FingerprintMismatch: the run has another plan; names what differs, with both values.
            ConfigError: a unit's id cannot be a file name, or occurs twice.
        """
        check_unit_ids(plan.units)
        text = plan.to_json()
        if not self.has(PLAN) and create_bytes(self.writable(PLAN), text.encode()):
            self._plan = Plan.from_json(text, where=PLAN)
        else:
            require_same_plan(
                self.plan(), Plan.from_json(text, where="the new plan"), where=self.uri
            )
        self._plan_id = ""
        return self.plan()

    def plan(self) -> Plan:
        """The plan as it was written.

        Raises:
            ConfigError: there is none: this is not a labelling run.
        """
        if self._plan is None:
            try:
                text = self.read_text(PLAN)
            except NotADirectoryError as error:
                raise ConfigError(
                    f"{self.uri} is a file; a labelling run is the folder that holds {PLAN}"
                ) from error
            except MissingFile as error:
                raise ConfigError(
                    f"{self.uri} is not a labelling run: it has no {PLAN}; `glipforge label "
                    f"--corpus CORPUS --out {quote(self.uri)}` makes one"
                ) from error
            where = self.url(PLAN)
            with whole(where, "copy the plan of this run back, or label into another --out"):
                self._plan = Plan.from_json(text, where=where)
            with whole(where, ""):
                check_unit_ids(self._plan.units, where)
        return self._plan

    def plan_id(self) -> str:
        """Fingerprint of the plan, as every marker carries it."""
        if not self._plan_id:
            self._plan_id = self.plan().fingerprint()
        return self._plan_id

    def check_plan(self, commit: UnitCommit, *, where: str) -> None:
        """Refuse a marker of another plan.

        Raises:
            DataError: it is of one.
        """
        if commit.plan != self.plan_id():
            raise DataError(
                f"{where} is about unit {commit.unit_id!r} of plan {commit.plan}, not of this "
                f"run's plan {self.plan_id()}; it was copied here"
            )

    def know_plan_id(self, plan_id: str) -> None:
        """Take the plan's fingerprint from the driver: a worker need not read a large plan."""
        self._plan_id = plan_id

    # --- commits ---------------------------------------------------------------------------------

    def commits(self) -> dict[str, UnitCommit]:
        """unit_id -> marker, in the order of the plan; empty where there is no plan yet.

        Raises:
            DataError: a marker cannot be read or belongs to another plan.
        """
        if self._plan is None and not self.has(PLAN):
            return {}
        return self.read_markers([unit.unit_id for unit in self.plan().units])

    def num_records(self) -> int:
        """Rows that are committed, also those in quarantine."""
        return sum(commit.rows_out for commit in self.commits().values())

    def annotations_id(self) -> str:
        """Fingerprint of the annotation files that are committed."""
        commits = self.commits()
        return fingerprint(
            [[unit, [file.sha256 for file in commits[unit].files]] for unit in sorted(commits)]
        )

    def pending(self) -> list[Unit]:
        """Units without a marker, in the order of the plan."""
        done = self.commits()
        return [unit for unit in self.plan().units if unit.unit_id not in done]

    def recover(self, *, verify: bool = False) -> Recovery:
        """Finish commits that a kill interrupted; take back those whose data is gone.

        Only the driver that holds the run's lock may do this.

        Args:
            verify: Read every file and compare its hash; otherwise sizes are compared.
        """
        commits = list(self.commits().values())
        if lost := self.settle(commits, verify=verify):
            remove(self.url(SUCCESS))
        self.withdraw(lost)
        return Recovery(
            num_committed=len(commits) - len(lost),
            withdrawn=tuple(commit.unit_id for commit in lost),
        )

    def finalize(self) -> bool:
        """Write `_SUCCESS` if every unit is committed and the rows add up; clear leftovers.

        Raises:
            DataError: the rows of the markers do not add up.
        """
        commits = self.commits()
        units = self.plan().units
        if len(commits) != len(units):
            return False
        for unit in units:
            check_counts(unit, commits[unit.unit_id])
        if not self.is_complete():
            content = RunTotals.of(commits.values()).counts() | {
                "plan": self.plan_id(),
                "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            self.write(as_json(content), SUCCESS)
        self.committer.clean(commits.values())
        return True

    def is_complete(self) -> bool:
        """True where every unit is committed and that was checked."""
        try:
            data = read_bytes(self.url(SUCCESS))
        except MissingFile:
            return False
        with whole(self.url(SUCCESS), f"delete it; `glipforge label --out {self.uri}` makes it"):
            return bool(json.loads(data)["plan"] == self.plan_id())

    # --- rows ------------------------------------------------------------------------------------

    def iter_annotations(self, statuses: Collection[Status] | None = None) -> Iterator[Annotation]:
        """Rows with a result (ok, no_phrases, no_boxes) of the committed units, in plan order.

        Raises:
            DataError: a file that a marker names is missing, torn or breaks the contract.
        """
        return self._iter_rows(ANNOTATIONS, statuses)

    def iter_quarantine(self, statuses: Collection[Status] | None = None) -> Iterator[Annotation]:
        """Rows with a failure, in plan order.

        Raises:
            DataError: as `iter_annotations`.
        """
        return self._iter_rows(QUARANTINE, statuses)

    def read_rows(self, commit: UnitCommit, file: CommittedFile) -> list[Annotation]:
        """The checked rows of one committed file.

        Raises:
            DataError: the file is missing, torn or breaks the contract.
        """
        data = self.read_committed(commit, file)
        rows = decode_rows(data, where=self.url(file.path))
        if len(rows) != file.num_rows:
            raise DataError(
                f"{self.url(file.path)} has {len(rows)} rows, its marker says {file.num_rows}"
            )
        return rows

    def _iter_rows(self, folder: str, statuses: Collection[Status] | None) -> Iterator[Annotation]:
        wanted = None if statuses is None else {str(status) for status in statuses}
        for commit in self.commits().values():
            if wanted is not None and not wanted & commit.status_counts.keys():
                continue
            for file in commit.files:
                if not file.path.startswith(f"{folder}/"):
                    continue
                for row in self.read_rows(commit, file):
                    if wanted is None or str(row.status) in wanted:
                        yield row
