"""Labels are drawn by seed, with a known chance, and found again by policy and id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.trust.audit import draw_audit
from pipeline.trust.audit_sample import find_audit, read_audits, write_audit
from schemas.errors import ConfigError, DataError
from tests.pipeline.trust.simulated import simulated_run

POLICY = FilterPolicy(name="sim", score_threshold=0.5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunStore, dict[str, bool]]:
    return simulated_run(tmp_path_factory.mktemp("sim") / "run", rows=900)


def scores(run: RunStore) -> dict[str, float]:
    return {box.box_id: box.score for row in run.iter_annotations() for box in row.boxes}


def test_a_draw_is_without_replacement_by_seed_with_known_chance(
    world: tuple[RunStore, dict[str, bool]],
) -> None:
    run, _ = world
    sample = draw_audit(run, POLICY, size=200, seed=3)
    population = [box_id for box_id, score in scores(run).items() if score > np.float32(0.5)]
    assert sample.totals == (len(population),)
    assert len({one.box_id for one in sample.drawn}) == 200
    assert {one.box_id for one in sample.drawn} <= set(population)
    assert {one.probability for one in sample.drawn} == {200 / len(population)}
    assert draw_audit(run, POLICY, size=200, seed=3, workers=2) == sample
    assert draw_audit(run, POLICY, size=200, seed=4).drawn != sample.drawn
    above = dict(zip(sample.grid, sample.population, strict=True))
    assert above[0.9] == (sum(score > np.float32(0.9) for score in scores(run).values()),)
    everything = draw_audit(run, POLICY, size=10**6)
    assert [one.box_id for one in everything.drawn] == population


def test_every_label_is_drawn_equally_often(world: tuple[RunStore, dict[str, bool]]) -> None:
    run, _ = world
    counts: dict[str, int] = {}
    for seed in range(60):
        for one in draw_audit(run, POLICY, size=400, seed=seed).drawn:
            counts[one.box_id] = counts.get(one.box_id, 0) + 1
    total = draw_audit(run, POLICY, size=1).totals[0]
    expected = 60 * 400 / total
    found = np.array([*counts.values(), *[0] * (total - len(counts))])
    spread = (found - expected) ** 2 / (expected * (1 - 400 / total))
    assert abs(spread.mean() - 1) < 0.15


def test_strata_draw_evenly(world: tuple[RunStore, dict[str, bool]]) -> None:
    run, _ = world
    sample = draw_audit(run, POLICY, size=300, strata=("score",))
    assert len(sample.strata) == 3
    assert sample.strata[0] == "score 0.5 to 0.6667"
    drawn = [sum(one.stratum == number for one in sample.drawn) for number in range(3)]
    assert drawn == [100, 100, 100]
    both = draw_audit(run, POLICY, size=90, strata=("score", "phrase"))
    assert len(both.strata) == 9
    assert len(both.drawn) == 90
    with pytest.raises(ConfigError, match=r"strata must be of score, phrase, got 'size'"):
        draw_audit(run, POLICY, size=3, strata=("size",))
    with pytest.raises(ConfigError, match=r"size must be 1 or more, got 0"):
        draw_audit(run, POLICY, size=0)
    with pytest.raises(ConfigError, match=r"keeps no label of this run"):
        draw_audit(run, FilterPolicy(name="none", min_boxes=99), size=3)


def test_samples_are_found_by_policy_and_id(tmp_path: Path) -> None:
    run, _ = simulated_run(tmp_path / "run", rows=30)
    with pytest.raises(ConfigError, match=r"policy sim@.* has no audit; draw one"):
        find_audit(run, POLICY)
    one, two = (draw_audit(run, POLICY, size=5, seed=seed) for seed in (0, 1))
    write_audit(run, one)
    assert find_audit(run, POLICY) == find_audit(run) == one
    write_audit(run, two)
    assert len(read_audits(run)) == 2
    with pytest.raises(ConfigError, match=r"has 2 audits \("):
        find_audit(run, POLICY)
    assert find_audit(run, POLICY, two.audit_id[:10]) == two
    path = Path(write_audit(run, two))
    path.write_text(path.read_text().replace(f'"level":{two.drawn[0].level!r}', '"level":NaN', 1))
    with pytest.raises(DataError, match=r"drawn\[\d\]\.level must be in \[0, 1\], got nan; delete"):
        find_audit(run, POLICY)
