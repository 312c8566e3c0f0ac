"""Policies read columns of layers by name: presets as published, own floors, refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.curation.curate import curate_run, ensure_curated, iter_curated
from pipeline.curation.kept_boxes import kept_box_ids
from pipeline.curation.rules.candidates import candidates_of
from pipeline.curation.rules.filter_result import (
    IMAGE_CODE_OF,
    LOW_IMAGE_SCORE,
    LOW_LAYER,
    LOW_LAYER_IMAGE,
    LOW_SCORE,
)
from pipeline.curation.rules.filters import filter_candidates
from pipeline.curation.rules.layer_scores import load_layer_scores
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import get_policy, policy_from_json
from pipeline.layers.enrich_unit import enrich_unit
from pipeline.layers.store import LayerRows
from pipeline.report.policies import compare_policies
from pipeline.run.columns import run_tables
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from tests.pipeline.layers.runs import FakeScorer, drawn_run
from tests.pipeline.layers.test_store import define

LAYERS = ("clip", "clip_image")


def with_scores(run: RunStore, boxes: dict[str, float | None], *, images: float = 0.5) -> RunStore:
    """Layers whose `score` of some boxes is given, 0.9 of the others; cosine is half of it."""

    def set_to(rows: LayerRows, values: list[Any]) -> LayerRows:
        table = rows.table
        score = pa.array(values, pa.float32())
        names = table.column_names
        table = table.set_column(names.index("score"), table.schema.field("score"), score)
        half = pc.multiply(score, pa.scalar(0.5, pa.float32()))
        table = table.set_column(names.index("cosine"), table.schema.field("cosine"), half)
        return replace(rows, table=table.cast(rows.table.schema))

    for name in LAYERS:
        store = define(run, name)
        for source in store.pending():
            with ThreadPoolExecutor(1) as pool:
                rows = enrich_unit(
                    run.read_rows(source, source.files[0]), [FakeScorer()], (name,), pool=pool
                )[name]
            keys = rows.table.column(0).to_pylist()
            values = [boxes.get(key, 0.9) if name == "clip" else images for key in keys]
            store.commit(source, set_to(rows, values), {})
    return run


def labels(run: RunStore, policy: FilterPolicy) -> dict[str, float]:
    return {
        box.box_id: box.score
        for record in iter_curated(run, policy.policy_id)
        for box in record.boxes
    }


def test_a_promised_threshold_brings_no_pair_back(tmp_path: Path) -> None:
    """Without its weak boxes the mean of a pair rises; a promise is about labels of the policy."""
    run = with_scores(drawn_run(tmp_path), {"toy/0#1": 0.2}, images=0.5)
    rules: dict[str, Any] = {"region_scores": "clip", "min_image_score": 0.5}
    policy = FilterPolicy(name="mean", **rules)
    table = pa.concat_tables(run_tables(run))
    found = load_layer_scores(run, [policy], run.commits().values()).beside(
        candidates_of(table), table
    )
    base = filter_candidates(found, policy)
    strong = float(np.sort(base.scores[found.row_of == 0])[-1])
    assert IMAGE_CODE_OF[LOW_IMAGE_SCORE] == base.image_codes[0]
    asked = replace(policy, min_precision=0.9)
    for threshold in np.linspace(0.05, strong, 8)[:-1]:
        narrowed = filter_candidates(found, asked, precision_threshold=float(threshold))
        assert np.isin(narrowed.labels(found), base.labels(found)).all()


def test_yoloworld_multiplies_and_asks_the_image(tmp_path: Path) -> None:
    run = with_scores(drawn_run(tmp_path), {"toy/0#0": 0.3, "toy/1#1": None})
    policy = get_policy("yoloworld")
    stats = curate_run(run, policy)
    found = labels(run, policy)
    assert "toy/0#0" not in found, "0.9 x 0.3 is not above 0.3"
    assert "toy/1#1" not in found, "no value, no score"
    assert found["toy/0#1"] == pytest.approx(0.8 * 0.9)
    assert stats.drops.boxes_dropped[LOW_SCORE] == 2
    assert stats.layers_id.startswith("clip@")


def test_yoloworld_leaves_out_images_that_do_not_fit_their_caption(tmp_path: Path) -> None:
    run = with_scores(drawn_run(tmp_path), {}, images=0.1)
    stats = curate_run(run, get_policy("yoloworld"))
    assert stats.records_out == 0, "sqrt(0.1 x 0.765) is not above 0.3"
    assert stats.drops.records_dropped[LOW_IMAGE_SCORE] == 5


def test_the_cosine_may_be_asked_for(tmp_path: Path) -> None:
    run = with_scores(drawn_run(tmp_path), {})
    policy = replace(get_policy("yoloworld"), region_scores="clip.cosine")
    curate_run(run, policy)
    assert labels(run, policy)["toy/0#0"] == pytest.approx(0.9 * 0.45)


def test_a_floor_under_any_column(tmp_path: Path) -> None:
    run = with_scores(drawn_run(tmp_path), {"toy/2#0": 0.2, "toy/3#1": None}, images=0.4)
    policy = FilterPolicy(name="mine", layer_thresholds={"clip.score": 0.5})
    stats = curate_run(run, policy)
    assert set(labels(run, policy)) == {
        *("toy/0#0", "toy/0#1", "toy/1#0", "toy/1#1", "toy/2#1", "toy/3#0", "toy/5#0", "toy/5#1")
    }
    assert stats.drops.boxes_dropped[LOW_LAYER] == 2
    whole = FilterPolicy(name="mine", layer_thresholds={"clip_image.score": 0.4})
    stats = curate_run(run, whole)
    assert stats.records_out == 0
    assert stats.drops.records_dropped[LOW_LAYER_IMAGE] == 5


def test_several_processes_write_the_same(tmp_path: Path) -> None:
    run = with_scores(drawn_run(tmp_path), {"toy/0#0": 0.3})
    one = curate_run(run, get_policy("yoloworld"), workers=1)
    two = curate_run(run, get_policy("yoloworld"), workers=2)
    assert one == two


def test_policies_with_layers_are_compared(tmp_path: Path) -> None:
    run = with_scores(drawn_run(tmp_path), {"toy/0#0": 0.3})
    found = compare_policies(run, [get_policy("default"), get_policy("yoloworld")])
    assert [drops.boxes_kept for drops in found.drops] == [10, 9]


def test_the_boxes_that_a_policy_keeps_by_id(tmp_path: Path) -> None:
    run = with_scores(drawn_run(tmp_path), {"toy/0#0": 0.3})
    policy = get_policy("yoloworld")
    curate_run(run, policy)
    found = kept_box_ids(run, policy)
    assert {box for boxes in found.values() for box in boxes} == set(labels(run, policy))
    assert set(found) == {"toy/0", "toy/1", "toy/2", "toy/3", "toy/5"}
    assert kept_box_ids(run, policy, min_score=0.85)["toy/0"] == frozenset()
    plain = get_policy("default")
    assert kept_box_ids(run, plain)["toy/1"] == {"toy/1#0", "toy/1#1"}


def test_a_missing_layer_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    run = drawn_run(tmp_path)
    with pytest.raises(ConfigError, match=r"no layer 'clip'; `glipforge enrich .* --with clip`"):
        curate_run(run, get_policy("yoloworld"))
    with pytest.raises(ConfigError, match="no layer 'clip'"):
        compare_policies(run, [get_policy("default"), get_policy("yoloworld")])
    define(run)
    define(run, "clip_image")
    with pytest.raises(ConfigError, match="lacks 2 of 2 units"):
        curate_run(run, get_policy("yoloworld"))
    assert not run.has("curated")


def test_a_layer_made_with_another_model_makes_the_curation_old(tmp_path: Path) -> None:
    import shutil

    run = with_scores(drawn_run(tmp_path), {})
    policy = FilterPolicy(name="mine", layer_thresholds={"clip.score": 0.5})
    before = ensure_curated(run, policy)
    assert ensure_curated(run, policy) == before
    shutil.rmtree(run.url("layers"))
    later = RunStore(run.uri)
    for name in LAYERS:
        define(later, name, version=2)
    with pytest.raises(ConfigError, match="lacks 2 of 2"):
        ensure_curated(later, policy)
    assert np.isfinite(before.records_out)


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"name": "x", "layer_thresholds": {"clip.beauty": 0.5}}', "must be of clip.score, "),
        ('{"name": "x", "layer_thresholds": {"clip.score": "a"}}', "layer_thresholds"),
        ('{"name": "x", "region_scores": "blip"}', "region_scores"),
    ],
)
def test_what_a_policy_file_may_not_say(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        policy_from_json(text, where="mine.json")


def test_ids_of_policies_without_layers_stay() -> None:
    assert FilterPolicy(name="glip", score_threshold=0.5).policy_id == get_policy("glip").policy_id
    floor = FilterPolicy(name="glip", score_threshold=0.5, layer_thresholds={"clip.score": 0.1})
    assert floor.policy_id != get_policy("glip").policy_id
