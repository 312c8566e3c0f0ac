"""Labels that were drawn for people to judge, as files beside a run."""

from __future__ import annotations

from typing import Any

from pipeline.curation.calibration import FOLDER, base_policy
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.storage.files import read_bytes
from pipeline.storage.folders import list_files
from schemas.checked import Share, checked, from_json, to_plain
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import canonical_json

AUDIT_VERSION = 2


@checked(frozen=True, kw_only=True)
class DrawnLabel:
    """One label that was drawn, as it was then."""

    unit_id: str
    record_id: str
    box_id: str
    phrase_index: int
    phrase: str
    noun: str
    xyxy: tuple[float, float, float, float]
    level: Share
    """The greatest threshold below which it stays; its score, for most policies."""
    stratum: int
    probability: Share
    """Of being drawn."""


@checked(frozen=True, kw_only=True)
class AuditSample:
    """Labels drawn from all that a policy keeps of a run."""

    audit_id: str
    policy_id: str
    policy: dict[str, Any]
    annotations_id: str
    """Fingerprint of the annotations that were drawn from: teacher, floor and corpus with them."""
    layers_id: str
    """The layers that the policy read; empty without any."""
    teachers: tuple[str, ...]
    seed: int
    strata: tuple[str, ...]
    """Names of the strata; one of a simple random sample."""
    grid: tuple[float, ...]
    """Thresholds from strict to loose."""
    population: tuple[tuple[int, ...], ...]
    """Labels of the run above each threshold, by stratum."""
    totals: tuple[int, ...]
    """Labels of the run, by stratum."""
    drawn: tuple[DrawnLabel, ...]
    version: int = AUDIT_VERSION

    @property
    def is_simple(self) -> bool:
        """True of a simple random sample."""
        return len(self.strata) == 1

    def box_ids(self) -> dict[str, frozenset[str]]:
        """record_id -> the boxes that were drawn."""
        found: dict[str, set[str]] = {}
        for one in self.drawn:
            found.setdefault(one.record_id, set()).add(one.box_id)
        return {record_id: frozenset(ids) for record_id, ids in found.items()}


def write_audit(run: RunStore, sample: AuditSample) -> str:
    """Write the sample beside the run; returns its address."""
    text = canonical_json(to_plain(sample)) + "\n"
    return run.write(text.encode(), FOLDER, f"audit-{sample.audit_id}.json")


def read_audits(run: RunStore) -> list[AuditSample]:
    """Every sample that was drawn of a run, by id.

    Raises:
        DataError: a file is not one.
    """
    names = [name for name in list_files(run.url(FOLDER), suffix=".json") if name[:6] == "audit-"]
    return [_read(run.url(FOLDER, name)) for name in names]


def find_audit(
    run: RunStore, policy: FilterPolicy | None = None, audit_id: str = ""
) -> AuditSample:
    """The sample of that id, or the only one of a policy, or the only one there is.

    Raises:
        ConfigError: there is none, or there are several.
    """
    samples = read_audits(run)
    if audit_id:
        fits = [one for one in samples if one.audit_id.startswith(audit_id)]
        what = f"audit {audit_id!r}"
    else:
        wanted = "" if policy is None else base_policy(policy).policy_id
        fits = [one for one in samples if policy is None or is_of(one, policy)]
        what = f"policy {wanted}" if wanted else "this run"
    if len(fits) != 1:
        known = ", ".join(f"{one.audit_id} of {one.policy_id}" for one in fits or samples)
        remedy = "give --audit and its id" if fits else "draw one with `glipforge audit RUN`"
        if samples and not fits and not audit_id:
            remedy += ", or give --audit and its id where this policy is stricter"
        number = f"{len(fits)} audits" if fits else "no audit"
        others = f" ({known})" if fits else f"; the run has {known}" if samples else ""
        raise ConfigError(f"{what} has {number}{others}; {remedy}")
    return fits[0]


def is_of(sample: AuditSample, policy: FilterPolicy) -> bool:
    """True where the sample was drawn for these rules, whatever their name and `min_precision`."""
    return sample.policy_id.rpartition("@")[2] == base_policy(policy).rules_id


def _read(where: str) -> AuditSample:
    return from_json(
        AuditSample,
        read_bytes(where),
        where=where,
        what="audit sample",
        version=AUDIT_VERSION,
        error=DataError,
        way_out="delete it and run glipforge audit again",
    )
