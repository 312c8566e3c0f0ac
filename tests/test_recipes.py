"""The recipes of CONTRIBUTING.md, followed: what is added by hand there is added here."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import jobs.cli
from glipforge import CorpusRecord, Grounder, GroundingRequest, Phrase, open_corpus
from pipeline.corpus import open as opening
from pipeline.corpus.corpus import Corpus, Part
from pipeline.corpus.options import CorpusOptions
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.export import FORMATS, export_records
from pipeline.export.writer import Format, Item, Target, Writer
from schemas.plan import InputFile, Unit
from tests.corpus_builders import picture_bytes
from tests.fakes import FakeGrounder


def test_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        number: int = 3
        """How far."""

    module = types.ModuleType("jobs.commands.share.count", "Count.")
    module.Config = Config  # type: ignore[attr-defined]
    module.EXAMPLES = ("glipforge count --number 2",)  # type: ignore[attr-defined]
    module.run = lambda config: print(*range(config.number)) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jobs.commands.share.count", module)
    monkeypatch.setitem(jobs.cli.COMMANDS, "count", ("jobs.commands.share.count", "count"))
    assert jobs.cli.main(["count", "--number", "2"]) == 0
    assert capsys.readouterr().out == "0 1\n"
    with pytest.raises(SystemExit):
        jobs.cli.main(["count", "--help"])
    assert capsys.readouterr().out.endswith("example:\nglipforge count --number 2\n")


class ListCorpus(Corpus):
    """Lines `image<TAB>caption` in files that end in .list."""

    format: ClassVar[str] = "list"

    def _divide(self, file: InputFile, records_per_unit: int) -> list[Part]:
        number = len(Path(file.uri).read_text().splitlines())
        starts = range(0, number, records_per_unit)
        return [
            Part("line", n, min(n + records_per_unit, number), min(records_per_unit, number - n))
            for n in starts
        ]

    def _read(self, unit: Unit) -> Iterator[CorpusRecord]:
        lines = Path(unit.uri).read_text().splitlines()
        stop = len(lines) if unit.kind == "file" else unit.stop
        for number in range(unit.start, stop):
            image, _, caption = lines[number].partition("\t")
            uri = str(Path(unit.uri).parent / image)
            yield from self._pairs(self._id(unit.uri, str(number)), caption, image_uri=uri)


def test_a_corpus_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opening._CLASSES, "list", ListCorpus)
    monkeypatch.setitem(opening._WANTED, "list", (".list",))
    monkeypatch.setattr("pipeline.corpus.options.FORMATS", ("list",))
    root = tmp_path / "toy"
    root.mkdir()
    (root / "0.png").write_bytes(picture_bytes(0))
    (root / "a.list").write_text("0.png\ta dog\n1.png\ta cat\n")
    corpus = open_corpus(str(root), CorpusOptions(format="list"))  # type: ignore[arg-type]
    records = [record for unit in corpus.units(1) for record in corpus.read(unit)]
    assert [record.caption for record in records] == ["a dog", "a cat"]


class IdWriter(Writer):
    """A line with each record's id."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._ids: list[str] = []

    def add(self, item: Item) -> bool:
        self._ids.append(item.record.record_id)
        return True

    def finish(self) -> None:
        self.target.publication.file(self.target.name).write_text(json.dumps(self._ids))


def test_an_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = Format(extension=".ids", writer=IdWriter)
    monkeypatch.setitem(FORMATS, "ids", form)  # type: ignore[arg-type]
    out = tmp_path / "all.ids"
    summary = export_records([], "ids", str(out))
    assert (summary.format, summary.records) == ("ids", 0)
    assert json.loads(out.read_text()) == []


def test_a_teacher() -> None:
    """Anything with these three is one; here the tests' own."""
    teacher = FakeGrounder()
    assert isinstance(teacher, Grounder)
    image = np.zeros((40, 60, 3), np.uint8)
    phrases = (Phrase(text="a dog", start=0, end=5),)
    request = GroundingRequest(image=image, caption="a dog", phrases=phrases)
    (answer,) = teacher.ground([request])
    assert len(answer.phrase_best_score) == len(answer.phrase_status) == 1
    assert sorted(answer.score, reverse=True) == list(answer.score)


def test_a_filter_rule_does_nothing_by_default() -> None:
    """What every new field must keep: a policy that says nothing drops nothing by it."""
    policy = FilterPolicy(name="nothing")
    assert policy.score_threshold == 0
    assert policy.words() == frozenset()
