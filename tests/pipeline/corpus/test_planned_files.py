"""A file that is written again between plan and read fails its units, and says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.corpus import open_corpus
from pipeline.corpus.planned_files import require_unchanged
from pipeline.storage.files import stat_file, write_bytes
from schemas.errors import UnitError
from schemas.plan import InputFile, Plan
from tests.pipeline.corpus.corpora import WRITERS

ONE_FILE = [name for name in WRITERS if name != "image-files"]


@pytest.mark.parametrize("name", ONE_FILE)
def test_a_file_of_the_same_size_but_written_later(name: str, tmp_path: Path) -> None:
    corpus = open_corpus(str(WRITERS[name](tmp_path / "toy")))
    plan = Plan(
        corpus=corpus.uri,
        corpus_format=corpus.format,
        inputs=corpus.inputs(),
        units=corpus.units(),
        config={},
    )
    unit = Plan.from_json(plan.to_json(), where="plan").units[0]
    assert list(corpus.read(unit))
    os.utime(unit.uri, ns=(1, 1))
    said = r"changed since the run was planned \(its version is mtime:1, it was mtime:.*new run"
    with pytest.raises(UnitError, match=said):
        list(corpus.read(unit))


def test_a_file_of_another_size(tmp_path: Path) -> None:
    corpus = open_corpus(str(WRITERS["jsonl"](tmp_path / "toy")))
    (unit,) = corpus.units()
    with open(unit.uri, "a") as stream:
        stream.write("\n")
    said = rf"\(it has {unit.stop + 1} bytes, it had {unit.stop}\)"
    with pytest.raises(UnitError, match=said):
        list(corpus.read(unit))


def test_a_store_without_lasting_tags_is_judged_by_size() -> None:
    write_bytes("memory://planned/a.jsonl", b"12")
    size = stat_file("memory://planned/a.jsonl").size
    require_unchanged(InputFile(uri="memory://planned/a.jsonl", size=size, etag="another"))
    with pytest.raises(UnitError, match=r"it has 2 bytes, it had 3"):
        require_unchanged(InputFile(uri="memory://planned/a.jsonl", size=3, etag="another"))


def test_the_plan_does_not_repeat_its_files(tmp_path: Path) -> None:
    corpus = open_corpus(str(WRITERS["jsonl"](tmp_path / "toy")))
    plan = Plan(corpus="", corpus_format="", inputs=(), units=corpus.units(), config={})
    assert "etag" not in plan.to_json()
