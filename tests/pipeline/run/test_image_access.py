"""An untrusted corpus stays untrusted in every command after the labelling."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from jobs.labelling.unseen import first_pictures
from jobs.training.data import guarded_images, read_image
from jobs.training.recipe import Recipe, SourceSpec
from model.training.options import TrainOptions
from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.images.decode import ImageLimits
from pipeline.layers.enrich_unit import enrich_unit
from pipeline.report.pictures import sample_pictures
from pipeline.run.limits import image_access
from pipeline.run.store import RunStore
from pipeline.search.sheet import sheet
from pipeline.search.words import PhraseHit
from pipeline.training_set.mixture import TrainingSource
from schemas.errors import ConfigError, RecordError
from schemas.plan import InputFile, Plan
from schemas.records import TrainingSample
from tests.pipeline.layers.runs import FakeScorer
from tests.schemas.builders import make_annotation, make_curated


def run_of(place: Path, corpus: str, config: dict[str, object], files: list[str]) -> RunStore:
    run = RunStore(place)
    run.write_plan(
        Plan(
            corpus=corpus,
            corpus_format="jsonl",
            inputs=tuple(InputFile(uri=uri, size=1, etag="x") for uri in files),
            units=(),
            config={"corpus": config},
        )
    )
    return run


def test_roots_are_those_of_the_corpora(tmp_path: Path) -> None:
    own = run_of(tmp_path / "1", "/own/a.jsonl", {}, ["/own/a.jsonl"])
    assert not image_access(own).untrusted
    file = run_of(tmp_path / "2", "/theirs/a.jsonl", {"untrusted": True}, ["/theirs/a.jsonl"])
    folder = run_of(tmp_path / "3", "/more", {"untrusted": True}, ["/more/x/a.jsonl"])
    many = run_of(tmp_path / "4", "/tars/{0..1}.tar", {"untrusted": True}, ["/tars/0.tar"])
    rooted = run_of(
        tmp_path / "5", "/z.jsonl", {"untrusted": True, "image_root": "/pics"}, ["/z.jsonl"]
    )
    joined = run_of(
        tmp_path / "6",
        "/p/a + /q/b.jsonl",
        {"joined": [{}, {"untrusted": True}]},
        ["/p/a/1.jsonl", "/q/b.jsonl"],
    )
    for runs, roots in (
        ((file,), ["/theirs"]),
        ((own, folder), ["/own", "/more"]),
        ((many,), ["/tars"]),
        ((rooted,), ["/pics"]),
        ((joined,), ["/p/a", "/q"]),
    ):
        found = image_access(*runs)
        assert found.untrusted
        assert [found.root, *found.others] == roots


@pytest.mark.parametrize("untrusted", [False, True])
def test_pictures_outside_are_not_read(untrusted: bool, tmp_path: Path) -> None:
    Image.new("RGB", (32, 24), "red").save(tmp_path / "secret.png")
    (tmp_path / "c").mkdir()
    lines = f'{{"image": "{tmp_path}/secret.png", "caption": "a dog"}}\n'
    (tmp_path / "c" / "a.jsonl").write_text(lines)
    corpus = open_corpus(str(tmp_path / "c" / "a.jsonl"), CorpusOptions(untrusted=untrusted))
    assert len(first_pictures(corpus, corpus.units()[0])) == (not untrusted)
    run = run_of(tmp_path / "run", corpus.uri, dict(corpus.fingerprint()), [corpus.inputs()[0].uri])
    record = replace(make_curated(), image_uri=str(tmp_path / "secret.png"))
    access = image_access(run)
    (picture,) = sample_pictures([record], ImageLimits(), access)
    assert ("is not below the corpus" in picture.failure) == untrusted
    row = make_annotation(image_uri=record.image_uri, image_sha256="", width=32, height=24)
    with ThreadPoolExecutor(1) as pool:
        layers = enrich_unit([row], [FakeScorer()], ["clip_image"], pool=pool, access=access)
    assert layers["clip_image"].statuses == {"image_missing" if untrusted else "ok": 1}
    hit = PhraseHit(row=row, phrase_index=-1, box_ids=(), score=1.0)
    with pytest.raises(ConfigError, match="not below the corpus") if untrusted else nullcontext():
        sheet([hit], access=access)


@pytest.mark.parametrize("untrusted", [False, True])
def test_training_reads_no_more_than_labelling_did(untrusted: bool, tmp_path: Path) -> None:
    """But what one's own gold names as well is one's own."""
    run = run_of(tmp_path / "run", "/c/a.jsonl", {"untrusted": untrusted}, ["/c/a.jsonl"])
    specs = (SourceSpec(curated=run.uri, policy="p"), SourceSpec(gold="gold.json"))
    recipe = Recipe(preset="glip-toy", train=TrainOptions(steps=1), sources=specs)
    sources = (source_of(tmp_path, "theirs", "both"), source_of(tmp_path, "own", "both"))
    guarded = guarded_images(recipe, sources)
    assert list(guarded) == ([f"{tmp_path}/theirs.png"] if untrusted else [])
    for uri, access in guarded.items():
        with pytest.raises(RecordError, match="is not below the corpus"):
            read_image(uri, access=access)


def source_of(folder: Path, *names: str) -> TrainingSource:
    samples = []
    for name in names:
        path = folder / f"{name}.png"
        Image.new("RGB", (32, 24), "red").save(path)
        samples.append(
            TrainingSample(
                sample_id=name,
                image_uri=str(path),
                width=32,
                height=24,
                caption="a dog",
                boxes=((1.0, 1.0, 9.0, 9.0),),
                spans=(((2, 5),),),
                weights=(1.0,),
            )
        )
    return TrainingSource(name="s", samples=samples)
