"""Drawing labels for people to judge: by seed, each with its inclusion probability.

The verdicts are the run's decisions; the sample only says whose count. Two passes over columns:
one counts, one fetches what was drawn; memory does not grow with the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.calibration import FOLDER, base_policy
from pipeline.curation.label_stats import TopCounter
from pipeline.curation.policy import FilterPolicy
from pipeline.run.map_units import Mapper, map_run, num_workers
from pipeline.run.open import annotations_id
from pipeline.run.store import RunStore
from pipeline.storage.files import read_bytes, write_bytes
from pipeline.storage.folders import list_files
from pipeline.trust.population import Labels, unit_labels
from pipeline.trust.promise import threshold_grid
from schemas.checked import checked, from_json, to_plain
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import canonical_json, fingerprint
from schemas.plan import UnitCommit

AUDIT_VERSION = 1
STRATA = ("score", "phrase")
SCORE_BANDS = 3
"""Equal bands between the policy's threshold and 1."""
PHRASE_BANDS = ("common", "less common", "rare")
"""Thirds of the labels, by how frequent their head noun is."""


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
    level: float
    """The greatest threshold below which it stays; its score, for most policies."""
    stratum: int
    probability: float
    """Of being drawn."""


@checked(frozen=True, kw_only=True)
class AuditSample:
    """Labels drawn from all that a policy keeps of a run."""

    audit_id: str
    policy_id: str
    policy: dict[str, Any]
    annotations_id: str
    """Fingerprint of the annotations that were drawn from: teacher, floor and corpus with them."""
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


def draw_audit(
    run: RunStore,
    policy: FilterPolicy,
    *,
    size: int,
    seed: int = 0,
    strata: Sequence[str] = (),
    workers: int = 0,
    progress: Callable[[int], object] = lambda done: None,
    mapper: Mapper = map_run,
) -> AuditSample:
    """Draw labels without replacement.

    Args:
        run: a labelled run.
        policy: whose labels are the population; its `min_precision` plays no part.
        size: how many; all where there are fewer.
        seed: the same seed draws the same labels.
        strata: of `STRATA`: draw as many from each score band, and from frequent and rare nouns.
        workers: processes; 0: as many as pay.
        progress: called with the rows that were counted.
        mapper: maps units, here or on a cluster.

    Raises:
        ConfigError: the policy keeps no label, or a size or stratum that is not allowed.
        DataError: a file breaks the contract.
    """
    if size < 1:
        raise ConfigError(f"size must be 1 or more, got {size}")
    for name in strata:
        if name not in STRATA:
            raise ConfigError(f"strata must be of {', '.join(STRATA)}, got {name!r}")
    policy = base_policy(policy)
    commits = list(run.commits().values())
    rows = sum(commit.rows_out for commit in commits)
    pool = num_workers(rows, len(commits), workers)
    bands = _bands(run, policy, strata, commits, mapper, pool)
    counts = []
    done = 0
    for commit, part in zip(
        commits, mapper(run, _count_unit, commits, (policy, bands), workers=pool), strict=True
    ):
        counts.append(part)
        done += commit.rows_out
        progress(done)
    population = sum((above for above, _ in counts), np.zeros((1, 1), np.int64))
    by_unit = np.array([totals for _, totals in counts]).reshape(len(commits), bands.number)
    totals = by_unit.sum(axis=0)
    if not totals.sum():
        raise ConfigError(f"policy {policy.policy_id} keeps no label of this run: nothing to draw")
    sizes = _allocate(totals, size)
    places = _places(totals, sizes, seed)
    drawn = list(
        _fetch(run, policy, bands, commits, by_unit, places, sizes / np.maximum(totals, 1))
    )
    made: dict[str, Any] = {
        "policy_id": policy.policy_id,
        "policy": to_plain(policy),
        "annotations_id": annotations_id(run),
        "teachers": tuple(sorted({commit.teacher_id for commit in commits})),
        "seed": seed,
        "strata": bands.names,
        "grid": tuple(bands.grid.tolist()),
        "population": tuple(map(tuple, population.tolist())),
        "totals": tuple(totals.tolist()),
    }
    plain = made | {"drawn": [to_plain(one) for one in drawn]}
    return AuditSample(audit_id=fingerprint(plain), drawn=tuple(drawn), **made)


def write_audit(run: RunStore, sample: AuditSample) -> str:
    """Write the sample beside the run; returns its address."""
    where = run.url(FOLDER, f"audit-{sample.audit_id}.json")
    write_bytes(where, (canonical_json(to_plain(sample)) + "\n").encode())
    return where


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
        fits = [one for one in samples if one.policy_id == wanted or not wanted]
        what = f"policy {wanted}" if wanted else "this run"
    if len(fits) != 1:
        known = ", ".join(f"{one.audit_id} of {one.policy_id}" for one in fits or samples) or "none"
        raise ConfigError(
            f"{what} has {len(fits)} audits ({known}); draw one with glipforge audit RUN, or give "
            "--audit and its id"
        )
    return fits[0]


def _read(where: str) -> AuditSample:
    return from_json(
        AuditSample,
        read_bytes(where),
        where=where,
        what="audit sample",
        version=AUDIT_VERSION,
        error=DataError,
    )


# --- strata ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Bands:
    """Which stratum a label is of."""

    grid: NDArray[np.float64]
    edges: NDArray[np.float64]
    """Of score bands, without the ends; empty: one band."""
    nouns: dict[str, int] | None
    """Head noun -> band; rare where it is not named. None: one band."""
    names: tuple[str, ...]

    @property
    def number(self) -> int:
        return len(self.names)

    def of(self, labels: Labels) -> NDArray[np.int64]:
        """[L]"""
        found = np.searchsorted(self.edges, labels.level.astype(np.float64), side="left")
        if self.nouns is not None:
            last = len(PHRASE_BANDS) - 1
            band = np.array([self.nouns.get(noun, last) for noun in labels.nouns()], np.int64)
            found = found * len(PHRASE_BANDS) + band.reshape(-1)
        return np.asarray(found, dtype=np.int64)


def _bands(
    run: RunStore,
    policy: FilterPolicy,
    strata: Sequence[str],
    commits: Sequence[UnitCommit],
    mapper: Mapper,
    pool: int,
) -> _Bands:
    floor = lowest_threshold(policy)
    edges = np.zeros(0)
    names = ["all labels"]
    if "score" in strata:
        ends = np.linspace(floor, 1, SCORE_BANDS + 1).round(4)
        edges = ends[1:-1]
        names = [f"score {a:g} to {b:g}" for a, b in pairwise(ends)]
    nouns = None
    if "phrase" in strata:
        counter = TopCounter()
        for part in mapper(run, _count_nouns, commits, policy, workers=pool):
            counter.add(part)
        nouns = _noun_bands(counter)
        names = [f"{name}, {band} nouns" for name in names for band in PHRASE_BANDS]
    return _Bands(grid=threshold_grid(floor), edges=edges, nouns=nouns, names=tuple(names))


def lowest_threshold(policy: FilterPolicy) -> float:
    """Below it the policy keeps no label, whatever its phrase."""
    own = (*policy.class_thresholds.values(), *policy.phrase_thresholds.values())
    return min((policy.score_threshold, *own))


def _noun_bands(counter: TopCounter) -> dict[str, int]:
    ranked = counter.top(len(counter))
    total = sum(number for _, number in ranked)
    bands, before = {}, 0
    for noun, number in ranked:
        bands[noun] = min(len(PHRASE_BANDS) * before // max(total, 1), len(PHRASE_BANDS) - 1)
        before += number
    return bands


def _count_nouns(run: RunStore, policy: FilterPolicy, commit: UnitCommit) -> Counter[str]:
    counts: Counter[str] = Counter()
    for labels in unit_labels(run, policy, commit):
        counts.update(labels.nouns())
    return counts


def _count_unit(
    run: RunStore, shared: tuple[FilterPolicy, _Bands], commit: UnitCommit
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels above each threshold by stratum [T, S], and all by stratum [S]."""
    policy, bands = shared
    above = np.zeros((len(bands.grid), bands.number), np.int64)
    totals = np.zeros(bands.number, np.int64)
    for labels in unit_labels(run, policy, commit):
        stratum = bands.of(labels)
        totals += np.bincount(stratum, minlength=bands.number)
        above += count_above(bands.grid, labels.level, stratum, bands.number)
    return above, totals


def count_above(
    grid: NDArray[np.float64],
    level: NDArray[np.float32],
    stratum: NDArray[np.int64],
    strata: int,
) -> NDArray[np.int64]:
    """Labels with a greater level than each threshold, by stratum [T, S]."""
    found = np.zeros((len(grid), strata), np.int64)
    ascending = np.sort(grid.astype(np.float32))
    # Of thresholds below a level there are as many as `side="left"` says.
    below = np.searchsorted(ascending, level, side="left")
    for number in range(strata):
        counts = np.bincount(below[stratum == number], minlength=len(grid) + 1)
        # Threshold i (ascending) is exceeded by levels with more than i thresholds below them.
        found[:, number] = counts[::-1].cumsum()[:-1]
    return found


# --- the draw ----------------------------------------------------------------------------------


def _allocate(totals: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """As many from each stratum; what a small one cannot give, the others give."""
    sizes = np.zeros(len(totals), np.int64)
    left = min(size, int(totals.sum()))
    while left:
        open_strata = np.flatnonzero(sizes < totals)
        share = max(left // len(open_strata), 1)
        for stratum in open_strata:
            more = min(share, int(totals[stratum] - sizes[stratum]), left)
            sizes[stratum] += more
            left -= more
    return sizes


def _places(
    totals: NDArray[np.int64], sizes: NDArray[np.int64], seed: int
) -> list[NDArray[np.int64]]:
    """For each stratum, which of its labels in their order are drawn; ascending."""
    dice = np.random.default_rng(seed)
    return [
        np.sort(dice.choice(int(total), int(size), replace=False, shuffle=False))
        for total, size in zip(totals, sizes, strict=True)
    ]


def _fetch(
    run: RunStore,
    policy: FilterPolicy,
    bands: _Bands,
    commits: Sequence[UnitCommit],
    by_unit: NDArray[np.int64],
    places: Sequence[NDArray[np.int64]],
    probability: NDArray[np.float64],
) -> Iterator[DrawnLabel]:
    """The drawn labels, by unit, row and box."""
    before = np.zeros(bands.number, np.int64)
    for commit, counts in zip(commits, by_unit, strict=True):
        own = [
            p[(p >= b) & (p < b + n)] - b for p, b, n in zip(places, before, counts, strict=True)
        ]
        before = before + counts
        if not any(len(one) for one in own):
            continue
        seen = np.zeros(bands.number, np.int64)
        for labels in unit_labels(run, policy, commit):
            stratum = bands.of(labels)
            taken = []
            for number in range(bands.number):
                inside = np.flatnonzero(stratum == number)
                here = own[number] - seen[number]
                taken.append(inside[here[(here >= 0) & (here < len(inside))]])
                seen[number] += len(inside)
            chosen = np.sort(np.concatenate(taken))
            yield from _drawn(labels, chosen, stratum, commit.unit_id, probability)


def _drawn(
    labels: Labels,
    chosen: NDArray[np.int64],
    stratum: NDArray[np.int64],
    unit_id: str,
    probability: NDArray[np.float64],
) -> Iterator[DrawnLabel]:
    candidates, nouns = labels.candidates, labels.nouns()
    boxes = candidates.boxes_at(labels.index)
    record_ids = labels.table.column("record_id")
    box_ids = labels.table.column("boxes").combine_chunks().flatten().field("box_id")
    for place in chosen.tolist():
        index = int(labels.index[place])
        row, phrase = int(candidates.row_of[index]), int(candidates.phrase_of[index])
        x0, y0, x1, y1 = boxes[place].tolist()
        yield DrawnLabel(
            unit_id=unit_id,
            record_id=record_ids[row].as_py(),
            box_id=box_ids[index].as_py(),
            phrase_index=phrase - int(candidates.phrases.offsets[row]),
            phrase=candidates.phrases.text[phrase].as_py(),
            noun=nouns[place],
            xyxy=(x0, y0, x1, y1),
            level=float(labels.level[place]),
            stratum=int(stratum[place]),
            probability=float(probability[stratum[place]]),
        )
