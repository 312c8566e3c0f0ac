"""An untrusted corpus stays untrusted in every command after the labelling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from jobs.labelling.unseen import first_pictures
from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.images.decode import ImageLimits
from pipeline.report.pictures import sample_pictures
from pipeline.run.limits import image_access
from pipeline.run.store import RunStore
from schemas.plan import InputFile, Plan
from tests.schemas.builders import make_curated


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
    (picture,) = sample_pictures([record], ImageLimits(), image_access(run))
    assert ("is not below the corpus" in picture.failure) == untrusted
