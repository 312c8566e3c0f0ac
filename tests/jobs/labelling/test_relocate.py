"""A run goes on where its corpus was copied or moved to."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.commands.label.label import label
from jobs.labelling.running import Running
from pipeline.run.plan_difference import require_same_plan
from pipeline.run.relocation import Relocation, Relocations
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, FingerprintMismatch
from schemas.plan import Plan
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, write_corpus
from tests.pipeline.corpus.corpora import picture

LOCAL = Running(runner="local")


def half_done(folder: Path) -> tuple[str, Path]:
    """A run of three units, one of them not done."""
    corpus, out = write_corpus(folder / "old" / "toy", 3), folder / "run"
    assert label(FakeSetup(corpus=corpus), str(out), UNIT, LOCAL) == 0
    marker = min((out / "_commits").iterdir())
    marker.unlink()
    (out / "_SUCCESS").unlink()
    return corpus, out


def test_places() -> None:
    found = Relocations((Relocation.parse("s3://a/b/=/data/c"),))
    assert found.to_old("/data/c/x.tar#1.jpg") == "s3://a/b/x.tar#1.jpg"
    assert found.to_new("s3://a/b") == "/data/c"
    assert found.to_old("/data/cc/x.tar") == "/data/cc/x.tar"
    for wrong in ("", "/a", "=/a", "/a=", "="):
        with pytest.raises(ConfigError, match="--relocate must be OLD=NEW"):
            Relocation.parse(wrong)


def test_names_with_an_equals_sign_are_cut_where_the_plan_says() -> None:
    planned = ["/d/dt=1/a.tar", "/d/dt=2/n=m/b.tar"]
    for text, old, new in (
        ("/d/dt=1=/e/dt=1", "/d/dt=1", "/e/dt=1"),
        ("/d/dt=2/n=m/=/e=/f", "/d/dt=2/n=m", "/e=/f"),
        ("/d=/e/dt=1", "/d", "/e/dt=1"),
        ("/x=/y=/z", "/x", "/y=/z"),  # in no plan: the first
        ("/i/dt=3=/j/dt=3", "/i/dt=3", "/j/dt=3"),  # of those that make sense
        ("s3://b/n=1=s3://c/n=1", "s3://b/n=1", "s3://c/n=1"),
    ):
        assert Relocation.parse(text, planned) == Relocation(old=old, new=new)


def test_of_places_within_each_other_the_inner_one_counts() -> None:
    found = Relocations(tuple(map(Relocation.parse, ("/a=/n", "/a/b=/m", "/c=/a/old"))))
    there = {"/a/1": "/n/1", "/a/b/1": "/m/1", "/a/bb": "/n/bb", "/c/1": "/a/old/1", "/d": "/d"}
    assert {uri: found.to_new(uri) for uri in there} == there
    assert {found.to_old(uri) for uri in there.values()} == there.keys()
    within = Relocations((Relocation.parse("/a=/a/v1"),))
    assert within.to_new("/a/1") == within.to_new("/a/v1/1") == "/a/v1/1"  # rows of after it moved
    for texts, said in (
        (("/a=/b", "/a/=/c"), "names /a twice"),
        (("/a=/b", "/c=/a"), "/c is where /a was.* give it a place of its own"),
    ):
        with pytest.raises(ConfigError, match=said):
            Relocations(tuple(map(Relocation.parse, texts))).require_apart()


def test_a_list_and_the_pictures_that_it_names_move_apart(tmp_path: Path) -> None:
    lists, images, out = tmp_path / "k=1" / "lists", tmp_path / "images", tmp_path / "run"
    images.mkdir()
    lists.mkdir(parents=True)
    lines = [
        {"image": f"{images}/{n}.png", "caption": f"a dog and a cat{n}"} for n in range(2 * UNIT)
    ]
    for number in range(2 * UNIT):
        (images / f"{number}.png").write_bytes(picture(number))
    for number in range(2):
        part = lines[number * UNIT :][:UNIT]
        (lists / f"{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part))
    assert label(FakeSetup(corpus=str(lists)), str(out), UNIT, LOCAL) == 0
    before = all_rows(out)
    min((out / "_commits").iterdir()).unlink()
    (tmp_path / "new").mkdir()
    setup = FakeSetup(corpus=str(shutil.move(lists, tmp_path / "new" / "lists")))
    shutil.move(images, tmp_path / "new" / "v2")
    there = replace(
        LOCAL,
        relocate=(f"{tmp_path}/k=1={tmp_path}/new", f"{images}={tmp_path}/new/v2"),
    )
    assert label(setup, str(out), UNIT, there) == 0
    assert all_rows(out) == before
    shutil.move(images.parent / "new" / "lists", lists)  # back again, the pictures not
    min((out / "_commits").iterdir()).unlink()
    assert label(FakeSetup(corpus=str(lists)), str(out), UNIT, LOCAL) == 0
    assert all_rows(out) == before


def test_a_moved_corpus_goes_on(tmp_path: Path) -> None:
    corpus, out = half_done(tmp_path)
    (tmp_path / "new").mkdir()
    moved = shutil.copytree(corpus, tmp_path / "new" / "toy")
    shutil.rmtree(corpus)
    for path in moved.iterdir():
        os.utime(path, ns=(1, 1))
    setup = FakeSetup(corpus=str(moved))
    with pytest.raises(FingerprintMismatch, match="input"):
        label(setup, str(out), UNIT, LOCAL)
    there = replace(LOCAL, relocate=(f"{tmp_path / 'old'}={tmp_path / 'new'}",))
    assert label(setup, str(out), UNIT, there) == 0
    assert len(all_rows(out)) == 3 * UNIT
    assert RunStore(out).is_complete()
    assert len({row.record_id for row in all_rows(out)}) == 3 * UNIT


def test_other_times_of_the_same_files_go_on(tmp_path: Path) -> None:
    corpus, out = half_done(tmp_path)
    for path in Path(corpus).iterdir():
        os.utime(path, ns=(1, 1))
    same = replace(LOCAL, relocate=(f"{corpus}={corpus}",))
    assert label(FakeSetup(corpus=corpus), str(out), UNIT, same) == 0
    assert len(all_rows(out)) == 3 * UNIT


def test_other_content_is_refused(tmp_path: Path) -> None:
    corpus, out = half_done(tmp_path)
    same = replace(LOCAL, relocate=(f"{corpus}={corpus}",))
    tars = sorted(Path(corpus).iterdir())
    data = tars[1].read_bytes()
    tars[1].write_bytes(data.replace(b"IDAT", b"IDAX"))  # as long as before
    with pytest.raises(ConfigError, match=r"is another picture than toy/0001/\d+ was labelled on"):
        label(FakeSetup(corpus=corpus), str(out), UNIT, same)
    tars[1].write_bytes(data + bytes(512))
    with pytest.raises(FingerprintMismatch, match="0001.tar was '"):
        label(FakeSetup(corpus=corpus), str(out), UNIT, same)


def test_a_corpus_with_another_name_is_told_of_its_ids() -> None:
    old = Plan(corpus="/a/c", corpus_format="x", inputs=(), units=(), config={"corpus": {}})
    plans = [replace(old, config={"corpus": {"source": name}}) for name in ("my c", "c2")]
    with pytest.raises(FingerprintMismatch, match=r"another name now, give --source 'my c'\. Give"):
        require_same_plan(*plans, where="run")


def test_one_of_several_corpora_with_another_name_is_named() -> None:
    def plan(*sources: str) -> Plan:
        joined = [{"format": "tar", "source": source} for source in sources]
        config = {"corpus": {"joined": joined}}
        return Plan(corpus="x", corpus_format="tar", inputs=(), units=(), config=config)

    for given, said in (
        (
            ("a", "c"),
            r"corpus 2.source was 'b', this run has 'c'. .* the one that was 'b' by a path",
        ),
        (("b", "a"), r"corpus 1.source was 'a', this run has 'b'; .*this run has 'a'. Give a new"),
        (("a",), r"corpus.joined was \[.*Give a new --out"),
    ):
        with pytest.raises(FingerprintMismatch, match=said):
            require_same_plan(plan("a", "b"), plan(*given), where="run")
