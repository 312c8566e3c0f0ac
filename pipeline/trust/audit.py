"""Drawing labels for people to judge: by seed, each with its inclusion probability.

The verdicts are the run's decisions; the sample only says whose count. Two passes over columns:
one counts, one fetches what was drawn; memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.calibration import base_policy
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import require_columns
from pipeline.run.map_units import Mapper, map_run, num_workers
from pipeline.run.store import RunStore
from pipeline.trust.audit_sample import AuditSample, DrawnLabel
from pipeline.trust.population import Labels, unit_labels
from pipeline.trust.strata import STRATA, Bands, count_above, make_bands
from schemas.checked import to_plain
from schemas.errors import ConfigError
from schemas.fingerprint import fingerprint
from schemas.plan import UnitCommit


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
    bands = make_bands(run, policy, strata, commits, mapper, pool)
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
        "annotations_id": run.annotations_id(),
        "layers_id": require_columns(run, policy.layer_columns()),
        "teachers": tuple(sorted({commit.teacher_id for commit in commits})),
        "seed": seed,
        "strata": bands.names,
        "grid": tuple(bands.grid.tolist()),
        "population": tuple(map(tuple, population.tolist())),
        "totals": tuple(totals.tolist()),
    }
    plain = made | {"drawn": [to_plain(one) for one in drawn]}
    return AuditSample(audit_id=fingerprint(plain), drawn=tuple(drawn), **made)


# --- the draw ----------------------------------------------------------------------------------


def _count_unit(
    run: RunStore, shared: tuple[FilterPolicy, Bands], commit: UnitCommit
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
    bands: Bands,
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
