"""`--teacher glip-t`: fetched, checked, converted once, by one process, and never half."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import pickle
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import model.files.by_name as by_name
from jobs.cli import main
from model.config import get_preset
from model.files.by_name import NAMES, model_directory, named_model, put_here
from model.files.official_names import to_official
from model.files.published import HUB_MIRRORS
from model.files.source import resolve_source
from model.network.glip import Glip
from schemas.errors import ConfigError, MissingDependency
from tests.hub_server import Fault, HubServer

FILE = NAMES["glip-t"].file
FIRST, SECOND = HUB_MIRRORS


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file in the published layout, of a toy network."""
    torch.manual_seed(0)
    network = Glip(get_preset("glip-toy"))
    path = tmp_path_factory.mktemp("published") / FILE
    torch.save({"model": to_official(network.state_dict(), network.config)}, path)
    return path.read_bytes()


@pytest.fixture
def hub(published: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    (tmp_path / "hub" / FIRST).mkdir(parents=True)
    (tmp_path / "hub" / FIRST / FILE).write_bytes(published)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GLIPFORGE_CACHE", str(tmp_path / "glipforge"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    toy = NAMES["glip-t"]._replace(preset="glip-toy")
    monkeypatch.setattr(by_name, "NAMES", {**NAMES, "glip-t": toy})
    with HubServer(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_every_published_model_has_a_name_of_its_own() -> None:
    assert list(NAMES) == ["glip-t-a", "glip-t-b", "glip-t-c", "glip-t", "glip-l"]


def test_a_named_model_is_fetched_and_converted_once(hub: HubServer, published: bytes) -> None:
    said: list[str] = []
    directory = named_model("glip-t", said.append)
    assert directory == model_directory("glip-t")
    source = json.loads((directory / "source.json").read_text())
    assert source == {
        "name": "glip-t",
        "file": FILE,
        "from": FIRST,
        "commit": hub.commit(FIRST),
        "sha256": hashlib.sha256(published).hexdigest(),
    }
    assert "fetching" in said[0]
    assert " MB of " in said[0] or " kB of " in said[0]
    hub.requests.clear()
    assert resolve_source("glip-t") == directory
    assert hub.requests == []


def test_the_second_mirror_is_asked_where_the_first_lacks_the_file(hub: HubServer) -> None:
    (hub.root / SECOND).mkdir(parents=True)
    (hub.root / FIRST / FILE).rename(hub.root / SECOND / FILE)
    (hub.root / FIRST / "README.md").write_text("moved")
    directory = named_model("glip-t", lambda line: None)
    assert json.loads((directory / "source.json").read_text())["from"] == SECOND


@pytest.mark.parametrize(
    "fault, message",
    [
        (Fault(on="/api/", status=429), "asks to wait"),
        (Fault(on="/api/", status=503), "out of order"),
        (Fault(on="GET /GLIPModel", cut=100_000), f"the connection broke while {FILE}"),
        (Fault(on="GET /GLIPModel.*pth", flip=True), "arrived with sha256"),
        (Fault(on="/resolve/", status=401, code="GatedRepo"), "is gated: accept its terms"),
    ],
)
def test_a_failure_says_where_to_put_the_file_and_the_command(
    fault: Fault, message: str, hub: HubServer
) -> None:
    hub.faults = [fault]
    with pytest.raises(MissingDependency, match=message) as raised:
        named_model("glip-t", lambda line: None)
    assert f"put {FILE} (of {FIRST} or {SECOND}) at {put_here('glip-t')}" in str(raised.value)
    assert "run `glipforge models --fetch glip-t`" in str(raised.value)
    assert not model_directory("glip-t").exists()
    hub.faults = []
    assert (named_model("glip-t", lambda line: None) / "config.json").is_file()


def test_a_connection_that_breaks_half_way_goes_on(hub: HubServer) -> None:
    hub.faults = [Fault(on="GET /GLIPModel", cut=100_000, times=2)]
    assert (named_model("glip-t", lambda line: None) / "config.json").is_file()


def test_a_file_put_there_by_hand_needs_no_hub(hub: HubServer, published: bytes) -> None:
    put_here("glip-t").parent.mkdir(parents=True)
    put_here("glip-t").write_bytes(published)
    hub.faults = [Fault(on=".", status=503)]
    directory = named_model("glip-t", lambda line: None)
    assert json.loads((directory / "source.json").read_text())["from"] == str(put_here("glip-t"))
    assert hub.requests == []


def test_a_file_of_another_network_is_refused(hub: HubServer) -> None:
    torch.save({"model": {"a.weight": torch.zeros(2)}}, hub.root / FIRST / FILE)
    with pytest.raises(ConfigError, match=f"came from {FIRST} and is not what its authors publ"):
        named_model("glip-t", lambda line: None)
    assert not model_directory("glip-t").exists()


class _Code:
    """A pickle that would write a file where it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {self.path}",))


def test_a_pickle_with_code_is_refused_and_never_run(hub: HubServer, tmp_path: Path) -> None:
    trap = tmp_path / "it-ran"
    torch.save({"model": {"a": _Code(str(trap))}}, hub.root / FIRST / FILE)
    with pytest.raises(ConfigError, match=r"holds (posix|os)\.system besides tensors"):
        named_model("glip-t", lambda line: None)
    (hub.root / FIRST / FILE).write_bytes(pickle.dumps(_Code(str(trap))))
    with pytest.raises(ConfigError, match="glip-t: "):
        named_model("glip-t", lambda line: None)
    assert not trap.exists()


def test_a_known_hash_is_compared(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    known = by_name.NAMES["glip-t"]._replace(sha256="0" * 64)
    monkeypatch.setattr(by_name, "NAMES", {**by_name.NAMES, "glip-t": known})
    with pytest.raises(MissingDependency, match="not the 0000.* that is known for glip-t"):
        named_model("glip-t", lambda line: None)


def _make_it(queue) -> None:
    torch.set_num_threads(1)  # the threads of before the fork are not there
    said: list[str] = []
    named_model("glip-t", said.append)
    queue.put(sum("converting" in line for line in said))


def test_of_three_processes_one_converts(hub: HubServer) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_make_it, args=(queue,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(180)
    assert sorted(queue.get(timeout=30) for _ in processes) == [0, 0, 1]
    assert sorted(p.name for p in model_directory("glip-t").parent.iterdir()) == ["glip-t"]


def test_a_cache_that_cannot_be_written_is_named(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLIPFORGE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="GLIPFORGE_CACHE .*file cannot be written"):
        named_model("glip-t", lambda line: None)


@pytest.mark.parametrize(
    "number, said",
    [
        (errno.ENOSPC, "the disk is full, or has no inodes left (df -h, df -i). Make room and rep"),
        (errno.EROFS, "the file system is read-only; give another place"),
        (errno.EACCES, "permission denied: check the owner and mode"),
    ],
)
def test_what_the_disk_says_is_a_sentence(
    number: int,
    said: str,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number), "/cache/x")

    monkeypatch.setattr(by_name, "save_pretrained", refuse)
    assert main(["models", "--fetch", "glip-t"]) == 2
    told = capsys.readouterr().err
    assert f"GLIPFORGE_CACHE {by_name.cache_home()} cannot be written: " in told
    assert said in told
    assert "Errno" not in told
    assert list(model_directory("glip-t").parent.iterdir()) == []


def test_weights_that_the_file_system_does_not_take_leave_nothing(
    hub: HubServer, published: bytes
) -> None:
    put_here("glip-t").parent.mkdir(parents=True)
    put_here("glip-t").write_bytes(published)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ConfigError, match="written: the file system takes no file of this si"):
            named_model("glip-t", lambda line: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(model_directory("glip-t").parent.iterdir()) == []


def test_models_fetches_by_name_ahead_of_time(
    hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--fetch", "glip-t"]) == 0
    said = capsys.readouterr().out
    assert str(model_directory("glip-t")) in said
    assert "--teacher glip-t" in said
    assert main(["models", "--fetch", "glip-xl"]) == 2
    assert "fetch must be one of glip-t-a, glip-t-b" in capsys.readouterr().err
