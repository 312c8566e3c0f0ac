"""A layer has the life of its run: exactly once, resumable, bound to plan, files and model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.layers.columns import read_column, require_columns
from pipeline.layers.enrich_unit import enrich_unit
from pipeline.layers.store import LayerRows, LayerStore, layers_of
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, DataError, FingerprintMismatch
from schemas.layer import KINDS, Layer
from schemas.plan import UnitCommit
from tests.faulty_store import BUCKET, faulty_store
from tests.pipeline.layers.runs import FakeScorer, drawn_row, drawn_run
from tests.pipeline.run.steps import with_steps


class Killed(BaseException):
    """What a kill is to a test."""


def define(run: RunStore, name: str = "clip", version: int = 1) -> LayerStore:
    store = LayerStore(run, name)
    kind = KINDS[name]
    store.define(
        Layer(
            name=name,
            key=kind.key,
            columns=tuple(column.name for column in kind.columns),
            run_plan=run.plan_id(),
            maker={"model": f"fake@{version}"},
        )
    )
    return store


def made(run: RunStore, source: UnitCommit, name: str = "clip") -> LayerRows:
    rows = run.read_rows(source, source.files[0])
    with ThreadPoolExecutor(1) as pool:
        return enrich_unit(rows, [FakeScorer()], (name,), pool=pool)[name]


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    return drawn_run(tmp_path)


def test_a_layer_is_read_by_the_name_of_its_column(run: RunStore) -> None:
    store = define(run)
    for source in store.pending():
        assert store.commit(source, made(run, source), {"total": 1.0})
    assert store.finalize()
    assert sorted(p.name for p in Path(store.uri).glob("*.parquet")) == ["u0.parquet", "u1.parquet"]
    column = read_column(run, "clip.score", run.commits().values())
    assert column.at(pa.array(["toy/3#1", "toy/0#0"])).tolist() == [24 / 64, 20 / 64]
    assert require_columns(run, ["clip.score"]) == f"clip@{store.layer_id()}"
    assert [layer.kind.name for layer in layers_of(run)] == ["clip"]
    shutil.rmtree(store.uri)
    assert layers_of(run) == []
    with pytest.raises(ConfigError, match=r"no layer 'clip'; `glipforge enrich .* --with clip`"):
        require_columns(run, ["clip.score"])


def test_of_two_attempts_one_wins(run: RunStore) -> None:
    store = define(run)
    source = store.pending()[0]
    assert store.commit(source, made(run, source), {})
    assert not define(run).commit(source, made(run, source), {})
    assert list(define(run).commits()) == ["u0"]


@pytest.mark.parametrize("step", ["stage rows", "stage marker", "mark", "publish", "unstage"])
def test_a_kill_at_any_step_loses_nothing(run: RunStore, step: str) -> None:
    define(run)

    def die(name: str) -> None:
        if name == step:
            raise Killed

    dying = with_steps(LayerStore(run, "clip"), die)
    source = dying.pending()[0]
    with pytest.raises(Killed):
        dying.commit(source, made(run, source), {})
    again = LayerStore(run, "clip")
    again.recover()
    for left in again.pending():
        assert again.commit(left, made(run, left), {})
    assert again.finalize()
    assert (
        read_column(run, "clip.score", run.commits().values()).values.tolist()
        == [
            20 / 64,
            24 / 64,
        ]
        * 5
    )


def test_another_model_is_refused_and_named(run: RunStore) -> None:
    define(run)
    with pytest.raises(FingerprintMismatch, match="model was 'fake@1', this run has 'fake@2'"):
        define(run, version=2)


def test_a_layer_of_another_run_is_refused(tmp_path: Path, run: RunStore) -> None:
    store = define(run)
    text = json.loads((Path(store.uri) / "layer.json").read_text())
    (Path(store.uri) / "layer.json").write_text(json.dumps(text | {"run_plan": "0" * 16}))
    with pytest.raises(DataError, match="was copied here: delete"):
        LayerStore(run, "clip").layer()


def test_rows_of_a_unit_that_was_labelled_again_are_made_again(
    tmp_path: Path, run: RunStore
) -> None:
    store = define(run)
    for source in store.pending():
        store.commit(source, made(run, source), {})
    marker = Path(run.uri) / "_commits" / "u0.json"
    text = json.loads(marker.read_text())
    text["files"][0]["sha256"] = "f" * 64
    marker.write_text(json.dumps(text))
    later = LayerStore(RunStore(run.uri), "clip")
    assert list(later.commits()) == ["u1"]
    with pytest.raises(ConfigError, match="lacks 1 of 2 units, the first 'u0'"):
        require_columns(later.run, ["clip.score"])
    assert later.recover().withdrawn == ("u0",)


def test_a_torn_file_is_found_and_done_again(run: RunStore) -> None:
    store = define(run)
    for source in store.pending():
        store.commit(source, made(run, source), {})
    path = Path(store.uri) / "u1.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert LayerStore(run, "clip").recover().withdrawn == ()
    with pytest.raises(DataError, match="run `glipforge enrich` on the run again"):
        read_column(run, "clip.score", run.commits().values())
    assert LayerStore(run, "clip").recover(verify=True).withdrawn == ("u1",)
    assert [c.unit_id for c in LayerStore(run, "clip").pending()] == ["u1"]


def test_rows_without_a_value_read_as_nan(tmp_path: Path, run: RunStore) -> None:
    (tmp_path / "images" / "0.png").unlink()
    store = define(run)
    for source in store.pending():
        store.commit(source, made(run, source), {})
    values = read_column(run, "clip.score", run.commits().values()).values
    assert np.isnan(values).tolist() == [True, True, *[False] * 8]


def test_a_column_that_there_is_not(run: RunStore) -> None:
    with pytest.raises(ConfigError, match=r"one of clip.score, .*got 'clip.beauty'"):
        read_column(run, "clip.beauty", [])
    with pytest.raises(ConfigError, match="layer must be one of clip, "):
        LayerStore(run, "beauty")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with faulty_store():
        yield f"s3://{BUCKET}"


def test_on_an_object_store(tmp_path: Path, bucket: str) -> None:
    from tests.pipeline.folder_run import folder_run

    run = folder_run(f"{bucket}/{tmp_path.name}", [drawn_row(tmp_path, n) for n in range(3)])
    store = define(run)
    (source,) = store.pending()
    assert store.commit(source, made(run, source), {})
    assert not store.commit(source, made(run, source), {})
    assert LayerStore(run, "clip").finalize()
    assert len(read_column(run, "clip.score", run.commits().values()).values) == 6
    assert LayerStore(run, "clip").recover(verify=True).num_committed == 1
