from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.training.recipe import SourceSpec
from jobs.training.sources import load_sources, sources_fingerprint
from pipeline.curation.curate import curate_run
from pipeline.curation.rules.presets import get_policy
from schemas.errors import ConfigError
from tests.jobs.shapes import write_shapes
from tests.jobs.toy_run import toy_rows
from tests.pipeline.folder_run import folder_run


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_shapes(tmp_path_factory.mktemp("gold"), 9)


@pytest.fixture
def curated(tmp_path: Path) -> str:
    """The address of a filtered run on a disk."""
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    curate_run(run, get_policy("default"))
    return str(tmp_path / "run")


def test_no_source_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to train on"):
        load_sources(())
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(ConfigError, match=r"empty\.json"):
        load_sources((SourceSpec(gold=str(empty)),))


def test_shots_are_of_detection(gold: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="shots goes with detection gold, this is grounding"):
        load_sources((SourceSpec(gold=str(gold[0]), shots=1),))
    with pytest.raises(ConfigError, match="shots goes with detection gold; a curated run has no"):
        SourceSpec(curated="RUN", shots=1)
    ((source,), _) = load_sources((SourceSpec(gold=str(gold[1]), shots=1),))
    assert 1 <= len(source.samples) <= 3
    assert source.names == ("red box", "green box", "blue box")
    chosen = {
        sources_fingerprint(
            load_sources((SourceSpec(gold=str(gold[1]), shots=1, shots_seed=s),))[0]
        )["coco.json"]
        for s in range(6)
    }
    assert len(chosen) > 1


def test_a_curated_run_is_counted_and_may_weigh_by_score(curated: str) -> None:
    ((plain,), counts) = load_sources((SourceSpec(curated=curated, name="web"),))
    assert counts["web"] == {"images": 2, "boxes": 4}
    assert {weight for sample in plain.samples for weight in sample.weights} == {1.0}
    spec = SourceSpec(curated=curated, name="web", weight_by_score=True)
    ((weighed,), _) = load_sources((spec,))
    weights = {round(weight, 4) for sample in weighed.samples for weight in sample.weights}
    assert weights
    assert weights <= {0.9, 0.8}


def test_a_curated_run_says_nothing_about_names_that_its_captions_leave_out(curated: str) -> None:
    ((source,), _) = load_sources((SourceSpec(curated=curated, kind="detection"),))
    assert not source.exhaustive


def test_a_limit_is_spread_over_the_source(gold: tuple[Path, Path]) -> None:
    ((source,), _) = load_sources((SourceSpec(gold=str(gold[0]), limit=3),))
    ((whole,), _) = load_sources((SourceSpec(gold=str(gold[0])),))
    assert source.samples == (whole.samples[0], whole.samples[3], whole.samples[6])


def test_sources_whose_files_are_named_alike_are_told_apart(tmp_path: Path) -> None:
    paths = [write_shapes(tmp_path / name, 2)[0] for name in ("a", "b")]
    sources, counts = load_sources(tuple(SourceSpec(gold=str(path)) for path in paths))
    labels = ["a/grounding.json", "b/grounding.json"]
    assert [source.name for source in sources] == labels
    assert list(counts) == list(sources_fingerprint(sources)) == labels


def test_a_curated_run_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    nope = str(tmp_path / "nope")
    with pytest.raises(ConfigError, match=f"curated run '{nope}' does not exist"):
        load_sources((SourceSpec(curated=nope),))
    (tmp_path / "nope").mkdir()
    with pytest.raises(ConfigError, match="nope is not a labelling run: it has no _plan.json"):
        load_sources((SourceSpec(curated=nope),))


def test_detection_gold_without_annotation_is_refused(tmp_path: Path) -> None:
    _, coco = write_shapes(tmp_path, 2)
    coco.write_text(json.dumps(json.loads(coco.read_text()) | {"annotations": []}))
    with pytest.raises(ConfigError, match=r"'coco.json' has images and no annotation; .*boxes: 0"):
        load_sources((SourceSpec(gold=str(coco)),))
