"""`glipforge enrich`: layers of a run, made once, whatever stops it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.ray_session import ray_session
from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from tests.jobs.lost_lock import lose_the_lock
from tests.jobs.small_cluster import kill, ray_workers
from tests.model.scorers.tiny_scorers import write_scorer
from tests.pipeline.layers.runs import drawn_run


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_scorer("clip", tmp_path_factory.mktemp("clip")))


def enrich(run: RunStore | str, *words: str) -> int:
    return main(["enrich", run if isinstance(run, str) else run.uri, *words])


LOCAL = ("--runner", "local", "--device", "cpu")


def files_of(run: RunStore, name: str) -> dict[str, bytes]:
    folder = Path(run.uri) / "layers" / name
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_all_layers_of_one_model_are_made_and_then_nothing_is_left_to_do(
    tmp_path: Path, clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = drawn_run(tmp_path)
    words = ("--with", "clip,embeddings", "--with", "region-embeddings,duplicates")
    assert enrich(run, *words, "--model", clip, *LOCAL) == 0
    out = capsys.readouterr().out
    assert "duplicates 6" in out
    assert "clip 10, clip_image 6" in out
    assert out.count(": complete") == 5
    assert json.loads((Path(run.uri) / "layers/clip/layer.json").read_text())["maker"]["model"]
    before = {name: files_of(run, name) for name in ("clip", "embeddings")}
    assert enrich(run, *words, "--model", clip, *LOCAL) == 0
    assert "rows     nothing to do in 0 units" in capsys.readouterr().out
    assert before == {name: files_of(run, name) for name in ("clip", "embeddings")}


def test_a_lock_that_another_took_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = drawn_run(tmp_path)
    words = ("--with", "duplicates", *LOCAL)
    with monkeypatch.context() as other:
        lose_the_lock(other)
        assert enrich(run, *words) == 1
    said = capsys.readouterr().err
    assert "glipforge enrich: another driver took the lock of" in said
    assert "process 9 on there" in said
    assert enrich(run, *words) == 0
    assert ": complete" in capsys.readouterr().out


def test_phrases_are_read_without_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = drawn_run(tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    assert enrich(run, "--with", "phrases", *LOCAL) == 0
    assert "rows     phrases 6 in" in capsys.readouterr().out
    store = LayerStore(run, "phrases")
    rows = [row for c in store.commits().values() for row in store.read(c).to_pylist()]
    own = {row.record_id: len(row.phrases) for row in run.iter_annotations()}
    assert {row["record_id"]: len(row["entities"]) for row in rows} == own
    assert (
        json.loads((Path(run.uri) / "layers/phrases/layer.json").read_text())["maker"]["reader"]
        == "spacy"
    )


def test_stability_is_of_the_teacher_that_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enrich(drawn_run(tmp_path), "--with", "stability", *LOCAL) == 2
    said = capsys.readouterr().err
    assert "asks the teacher of the run again, which is fake@0; --teacher names glip-nano@" in said
    out = str(tmp_path / "again")
    corpus = tmp_path / "photos"
    corpus.mkdir()
    shutil.copytree(tmp_path / "images", corpus, dirs_exist_ok=True)
    for path in list(corpus.glob("*.png")):
        path.with_suffix(".txt").write_text("a dog and a red box")
    assert main(["label", "--corpus", str(corpus), "--out", out, "--runner", "local"]) == 0
    assert enrich(out, "--with", "stability", *LOCAL) == 0
    run = RunStore(out)
    store = LayerStore(run, "stability")
    rows = [row for c in store.commits().values() for row in store.read(c).to_pylist()]
    assert len(rows) == sum(len(row.boxes) for row in run.iter_annotations()) > 0
    assert all(0 <= row["score"] <= 1 for row in rows)
    assert any(row["score"] > 0 for row in rows)


def test_status_tells_about_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = drawn_run(tmp_path)
    (tmp_path / "images" / "1.png").unlink()
    assert enrich(run, "--with", "duplicates", *LOCAL) == 0
    assert "1 of them have a reason, e.g. toy/1: " in capsys.readouterr().out
    assert main(["status", run.uri]) == 0
    shown = capsys.readouterr().out
    assert "layer    duplicates: 2 of 2 units, 6 rows; 1 without a value, e.g. toy/1: " in shown


def test_one_layer_more_leaves_the_others_alone(tmp_path: Path, clip: str) -> None:
    run = drawn_run(tmp_path)
    assert enrich(run, "--with", "duplicates", *LOCAL) == 0
    marker = Path(run.uri) / "layers/duplicates/_commits/u0.json"
    before = marker.read_bytes()
    assert enrich(run, "--with", "duplicates,clip", "--model", clip, *LOCAL) == 0
    assert marker.read_bytes() == before
    assert LayerStore(run, "clip").finalize()


def test_masks_and_clip_in_one_pass(tmp_path: Path, clip: str) -> None:
    sam = str(write_scorer("sam", tmp_path / "sam"))
    run = drawn_run(tmp_path)
    words = ("--with", "masks,clip", "--model", clip, "--model", sam)
    assert enrich(run, *words, *LOCAL) == 0
    assert len(files_of(run, "masks")) == 2


@pytest.mark.parametrize(
    "words, said",
    [
        (("--with", "clip"), "layer 'clip' needs a CLIP or SigLIP of transformers: give --model"),
        (("--with", "beauty"), "--with must be of clip, embeddings,"),
        ((), "--with must name at least one of"),
        (("--with", "clip", "--model", "no/where/here"), "--model: 'no/where/here' is not"),
        (("--with", "duplicates", "--model", "{clip}"), "makes clip, clip_image, embeddings"),
        (("--with", "clip", "--model", "{clip}", "--prompt", "x"), "--prompt must hold {}"),
        (("--with", "clip", "--model", "{clip}", "--model", "{clip}"), "both make layer 'clip'"),
    ],
)
def test_wrong_usage_is_a_sentence(
    tmp_path: Path,
    clip: str,
    words: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = drawn_run(tmp_path, units=1)
    assert enrich(run, *(word.replace("{clip}", clip) for word in words), *LOCAL) == 2
    assert said in capsys.readouterr().err


def test_another_model_is_refused(
    tmp_path: Path, clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = drawn_run(tmp_path, units=1)
    assert enrich(run, "--with", "clip", "--model", clip, *LOCAL) == 0
    other = str(write_scorer("clip", tmp_path / "other", seed=3))
    assert enrich(run, "--with", "clip", "--model", other, *LOCAL) == 2
    said = capsys.readouterr().err
    assert "layer clip was made with another configuration" in said
    assert "Delete" in said


def test_a_killed_enrichment_goes_on(tmp_path: Path, clip: str) -> None:
    run = drawn_run(tmp_path, units=40)
    command = [sys.executable, "-m", "jobs", "enrich", run.uri, "--with", "clip", "--model", clip]
    process = subprocess.Popen([*command, *LOCAL], stdout=subprocess.DEVNULL)
    markers = Path(run.uri) / "layers/clip/_commits"
    try:
        end = time.monotonic() + 600
        while len(list(markers.glob("*.json"))) < 3 and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = len(LayerStore(run, "clip").commits())
    assert 0 < done < 40
    before = {path.name: path.read_bytes() for path in markers.glob("*.json")}
    assert enrich(run, "--with", "clip", "--model", clip, *LOCAL) == 0
    assert len(LayerStore(run, "clip").commits()) == 40
    assert {name: (markers / name).read_bytes() for name in before} == before
    assert not list((Path(run.uri) / "layers/clip/_staging").glob("*"))


@pytest.mark.slow
@pytest.mark.ray
def test_on_ray_a_killed_worker_costs_nothing(
    tmp_path: Path, clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, local = drawn_run(tmp_path / "a", units=30), drawn_run(tmp_path / "b", units=30)
    assert enrich(local, "--with", "clip", "--model", clip, *LOCAL) == 0
    with ray_session(num_cpus=2):
        markers = Path(run.uri) / "layers/clip/_commits"
        killed: list[int] = []

        def kill_one() -> None:
            end = time.monotonic() + 600
            while not killed and time.monotonic() < end:
                time.sleep(0.05)
                if len(list(markers.glob("*.json"))) >= 3:
                    killed.extend(w.pid for w in ray_workers("ray::_call")[:1] if kill(w))

        thread = threading.Thread(target=kill_one)
        thread.start()
        assert enrich(run, "--with", "clip", "--model", clip, "--device", "cpu") == 0
        thread.join()
    assert killed
    assert ": complete" in capsys.readouterr().out
    keys = [file.replace(".parquet", "") for file in files_of(run, "clip")]
    assert len(keys) == 30
    one, two = (LayerStore(r, "clip") for r in (run, local))
    for unit_id, commit in one.commits().items():
        rows = one.read(commit).to_pylist()
        other = two.read(two.commits()[unit_id]).to_pylist()
        assert [row["box_id"] for row in rows] == [row["box_id"] for row in other]
        assert all(abs(a["cosine"] - b["cosine"]) < 1e-5 for a, b in zip(rows, other, strict=True))


def test_masks_are_exported_as_coco_segmentation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools import mask as run_lengths

    run = drawn_run(tmp_path)
    out = tmp_path / "labels.json"
    words = ["export", run.uri, "--policy", "glip", "--format", "coco", "--masks"]
    assert main([*words, "--out", str(out)]) == 2
    assert "no layer 'masks'" in capsys.readouterr().err
    sam = str(write_scorer("sam", tmp_path / "sam"))
    assert enrich(run, "--with", "masks", "--model", sam, *LOCAL) == 0
    assert main([*words, "--out", str(out)]) == 0
    annotations = json.loads(out.read_text())["annotations"]
    assert len(annotations) == 10
    for annotation in annotations:
        found = run_lengths.decode(annotation["segmentation"])
        assert found.shape == (48, 64)
        assert int(found.sum()) == annotation["area"]
    goldg = ["export", run.uri, "--policy", "glip", "--masks", "--out", str(tmp_path / "g.json")]
    assert main(goldg) == 2
    assert "--masks must go with format coco or lvis" in capsys.readouterr().err
    lvis = tmp_path / "lvis.json"
    assert main([*words[:5], "lvis", "--masks", "--out", str(lvis)]) == 0
    assert json.loads(lvis.read_text())["annotations"][0]["segmentation"]["counts"]
