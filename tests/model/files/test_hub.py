"""Model directories of the hub, from a server on this machine that fails in every way."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

import model.files.source as source
from model.files.source import resolve_source
from model.teacher.detectors.kinds import model_type
from schemas.errors import ConfigError, MissingDependency
from schemas.redaction import shown
from tests.hub_server import Fault, HubServer
from tests.model.teacher.tiny_detectors import write_detector

REPO = "acme/owl"
STORE = {"Location": "http://127.0.0.1:9/x", "X-Linked-Etag": f'"{"0" * 64}"', "X-Repo-Commit": "0"}
"""Where large files are kept, and nobody answers."""


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector("owlvit", tmp_path_factory.mktemp("hub") / "owl")


@pytest.fixture
def hub(owl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    shutil.copytree(owl, tmp_path / "hub" / REPO)
    (tmp_path / "hub" / REPO / "README.md").write_text("a card")
    (tmp_path / "hub" / REPO / "pytorch_model.bin").write_text("not wanted")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GLIPFORGE_CACHE", str(tmp_path / "glipforge"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's waits between tries
    source._of_hub.cache_clear()
    with HubServer(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    source._of_hub.cache_clear()


def test_a_model_of_the_hub_is_fetched_once(
    hub: HubServer, owl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = resolve_source(REPO, accepts=model_type)
    assert folder.name == hub.commit(REPO)
    for path in owl.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert not (folder / "README.md").exists()
    assert not (folder / "pytorch_model.bin").exists()
    assert f"kB of {REPO} at {folder.name[:12]} from {hub.url}" in capsys.readouterr().err
    source._of_hub.cache_clear()
    hub.requests.clear()
    assert resolve_source(REPO) == folder
    assert [r for r in hub.requests if r.startswith("GET") and "/resolve/" in r] == []
    assert "fetching" not in capsys.readouterr().err


def test_a_revision_can_be_given(hub: HubServer) -> None:
    commit = hub.commit(REPO)
    assert resolve_source(f"{REPO}@{commit}").name == commit
    with pytest.raises(MissingDependency, match="acme/owl has no revision 'v9'$"):
        resolve_source(f"{REPO}@v9")


@pytest.mark.parametrize(
    "fault, message",
    [
        (Fault(on="/api/", status=429, headers={"Retry-After": "7"}), r"too many .*: try in 7 s"),
        (Fault(on="/api/", status=429, headers={"Retry-After": "Fri, 27"}), "try after Fri, 27; "),
        (Fault(on="/api/", status=407), r"the proxy wants a name and a password"),
        (Fault(on="/api/", status=200), "does not answer like a hub: KeyError: 'id'"),
        (Fault(on="/api/", status=503), r"out of order \(503\)"),
        (Fault(on="/api/", status=401), r"refuses this token \(HF_TOKEN\)"),
        (Fault(on="/api/", status=403), r"forbids acme/owl"),
        (Fault(on="/api/", status=404), "does not answer like a hub"),
        (Fault(on="GET /acme.*safetensors", cut=1000), "connection broke while model.safetensors"),
        (Fault(on="GET /acme.*safetensors", status=500), r"out of order \(500\)"),
        (Fault(on="/resolve/", status=429), "asks to wait"),
        (
            Fault(on="/acme.*safetensors", status=302, headers=STORE),
            r"http://127\.0\.0\.1:9, where",
        ),
    ],
)
def test_every_failure_is_a_sentence(fault: Fault, message: str, hub: HubServer) -> None:
    hub.faults = [fault]
    with pytest.raises(MissingDependency, match=message) as raised:
        resolve_source(REPO)
    assert "hf download acme/owl --local-dir" in str(raised.value)
    hub.faults = []
    assert (resolve_source(REPO) / "model.safetensors").is_file()


def test_what_is_not_there_is_named(hub: HubServer) -> None:
    with pytest.raises(MissingDependency, match="acme/none is not on http://127.*set HF_TOKEN$"):
        resolve_source("acme/none")
    hub.gated.add(REPO)
    with pytest.raises(MissingDependency, match="acme/owl is gated: accept its terms at http"):
        resolve_source(REPO)
    hub.gated.clear()
    (hub.root / REPO / "config.json").rename(hub.root / REPO / "other.json")
    with pytest.raises(MissingDependency, match=r"acme/owl has no file config\.json$"):
        resolve_source(REPO)


def test_a_cache_that_cannot_be_written_is_named(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").write_text("a file")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "full"))
    with pytest.raises(MissingDependency, match=r"cannot be kept in .* \(HF_HUB_CACHE\): .*full"):
        resolve_source(REPO)


def test_a_repository_without_safetensors_is_refused(hub: HubServer) -> None:
    (hub.root / REPO / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"acme/owl has no \*\.safetensors; .*may hold code"):
        resolve_source(REPO)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_other_bytes_of_the_right_length_are_fetched_again(
    name: str, hub: HubServer, owl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults = [Fault(on=f"GET /acme.*{name}", flip=True, times=1)]
    folder = resolve_source(REPO)
    assert (folder / name).read_bytes() == (owl / name).read_bytes()
    kind = "sha256" if name == "model.safetensors" else "sha1"
    assert f"{name} has another {kind} than the hub says" in capsys.readouterr().err


@pytest.mark.parametrize("names_only", [False, True])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_wrong_hash_is_refused_and_leaves_nothing(
    name: str, hub: HubServer, names_only: bool
) -> None:
    hub.lists_names_only = names_only
    hub.faults = [Fault(on=f"GET /acme.*{name}", flip=True)]
    with pytest.raises(MissingDependency, match=f"{name} .*arrived with sha.*the hub says .*delet"):
        resolve_source(REPO)
    hub.faults = []
    assert model_type(resolve_source(REPO)) == "owlvit"


def test_a_model_of_another_kind_is_refused_before_its_weights(hub: HubServer) -> None:
    config = '{"model_type": "rex", "auto_map": {"AutoModel": "m.M"}}'
    (hub.root / REPO / "config.json").write_text(config)
    with pytest.raises(ConfigError, match="wants trust_remote_code"):
        resolve_source(REPO, accepts=model_type)
    assert not [request for request in hub.requests if "safetensors" in request]


def test_without_the_hub_a_whole_copy_is_used_and_a_part_is_not(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = resolve_source(REPO)
    source._of_hub.cache_clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert resolve_source(REPO) == folder
    assert "HF_HUB_OFFLINE is set; the copy of acme/owl in the cache" in capsys.readouterr().err
    source._of_hub.cache_clear()
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingDependency, match="HF_HUB_OFFLINE is set; the cache has only part"):
        resolve_source(REPO)


def test_nobody_answers(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingDependency, match=r"http://127.0.0.1:9 cannot be reached: check the"):
        resolve_source(REPO)


@pytest.mark.parametrize(
    "address, said",
    [
        ("http://me:secret@127.0.0.1:9", r"http://\*\*\*@127.0.0.1:9 cannot be reached"),
        ("127.0.0.1:9", r"127.0.0.1:9 \(HF_ENDPOINT\) is not an address, as https://hugg"),
        ("http://[::1", r"\(HF_ENDPOINT\) is not an address"),
    ],
)
def test_an_address_of_the_hub_that_is_none_is_said_without_its_password(
    address: str, said: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(MissingDependency) as raised:
        resolve_source(REPO)
    assert re.search(said, shown(str(raised.value)))


def test_what_is_said_of_a_fetch_holds_no_password(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("://", "://me:secret@"))
    resolve_source(REPO)
    told = capsys.readouterr().err
    assert "***@127.0.0.1" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    "given, said",
    [
        ("https://huggingface.co/acme/owl/tree/v2", r"given as owner/name: acme/owl@v2$"),
        ("hf://acme/owl", r"given as owner/name: acme/owl$"),
        ("models--acme--owl", r"of the hub's cache; give owner/name"),
        ("glip.pth", r"\(it is a file\)"),
        ("a/b/c", r"\(does not exist\)$"),
        ("./nowhere", r"\(does not exist\)"),
    ],
)
def test_what_was_meant_is_guessed(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models--acme--owl" / "snapshots").mkdir(parents=True)
    (tmp_path / "glip.pth").write_text("")
    with pytest.raises(ConfigError, match=f"'{given}' is not a model directory .*{said}"):
        resolve_source(given)
