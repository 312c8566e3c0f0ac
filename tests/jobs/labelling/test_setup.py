"""The driver finds the teacher; a worker takes the driver's directory and never asks the hub."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jobs.commands.label.label import Config, run
from jobs.labelling.running import Running
from jobs.labelling.setup import TeacherSetup
from model.config import get_preset
from model.files.directory import save_pretrained
from model.network.glip import Glip
from model.teacher.options import TeacherOptions
from pipeline.corpus.options import CorpusOptions
from pipeline.labelling.pairs import PairLimits
from pipeline.phrases.extract import PhraseOptions
from schemas.errors import ConfigError
from tests.hub_server import HubServer


def _setup(teacher: str) -> TeacherSetup:
    return TeacherSetup(
        corpora=("nowhere",),
        corpus_options=CorpusOptions(),
        teacher=teacher,
        device="cpu",
        options=TeacherOptions(),
        phrase_options=PhraseOptions(),
        limits=PairLimits(),
    )


def test_a_worker_takes_the_drivers_directory_or_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    save_pretrained(Glip(get_preset("glip-toy")), tmp_path / "hub" / "acme" / "toy")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with HubServer(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        driver = _setup("acme/toy")
        planned = driver.fingerprint()
        hub.requests.clear()
        worker = pickle.loads(pickle.dumps(driver))
        tools = worker.load()
        assert tools.grounder.teacher_id == driver.teacher_id()
        assert dict(tools.grounder.fingerprint()) == planned["teacher"]
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(ConfigError) as raised:
            pickle.loads(pickle.dumps(driver)).load()
        assert hub.requests == []
    said = str(raised.value)
    assert "teacher 'acme/toy': " in said
    assert "Every node needs the model at this path" in said
    assert "glipforge models --fetch acme/toy" in said


def test_a_driver_may_be_without_the_gpu_of_its_workers() -> None:
    there = replace(_setup("shipped"), device="cuda:77")
    assert there.seconds_per_record() < _setup("shipped").seconds_per_record() / 10


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = Config(
        corpus=("nowhere",), out=str(out), device="cuda:77", running=Running(runner="local")
    )
    with pytest.raises(ConfigError, match="device 'cuda:77': .* CUDA devices here"):
        run(config)
    assert not out.exists()
