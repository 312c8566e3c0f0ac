"""The review home and FiftyOne's environment."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from pipeline.review.home import (
    PLUGIN_DIR,
    dataset_slug,
    fiftyone_environment,
    prepare_environment,
    review_home,
)
from schemas.errors import ConfigError


def test_the_argument_comes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIPFORGE_REVIEW_HOME", str(tmp_path / "env"))
    assert review_home(tmp_path / "given").root == tmp_path / "given"
    assert review_home().root == tmp_path / "env"
    monkeypatch.delenv("GLIPFORGE_REVIEW_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert review_home().root == tmp_path / "data" / "glipforge" / "review"


def test_other_users_cannot_read_the_home(tmp_path: Path) -> None:
    assert review_home(tmp_path / "home").root.stat().st_mode & 0o077 == 0


def test_a_file_in_the_way_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be made: .*choose another with --home"):
        review_home(tmp_path / "file")


def test_the_plugin_is_package_data_and_holds_only_the_registration_and_the_page() -> None:
    """The directory is served to browsers."""
    names = {path.name for path in PLUGIN_DIR.iterdir()} - {"__pycache__"}
    assert names == {"fiftyone.yml", "__init__.py", "dist"}
    files = {path for path in (PLUGIN_DIR / "dist").rglob("*") if path.is_file()}
    assert {path.suffix for path in files} == {".js"}


def test_fiftyone_reads_nothing_outside_of_the_home(tmp_path: Path) -> None:
    home = review_home(tmp_path)
    environment = fiftyone_environment(home, "mongodb://127.0.0.1:1/")
    paths = [value for key, value in environment.items() if key.endswith(("_PATH", "_DATASET_DIR"))]
    assert len(paths) == 3
    assert all(path.startswith(str(tmp_path)) for path in paths)
    assert environment["FIFTYONE_DO_NOT_TRACK"] == "true"


def test_a_process_stays_with_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = types.SimpleNamespace(config=types.SimpleNamespace(database_uri="mongodb://a/"))
    monkeypatch.setitem(sys.modules, "fiftyone", loaded)  # type: ignore[arg-type]
    monkeypatch.setattr(os, "environ", dict(os.environ))
    home = review_home(tmp_path)
    prepare_environment(home, "mongodb://a/")
    with pytest.raises(ConfigError, match=r"already imported .*'mongodb://a/'.*'mongodb://b/'"):
        prepare_environment(home, "mongodb://b/")


def test_names_that_fiftyone_cannot_tell_apart_have_one_slug() -> None:
    assert dataset_slug("A b") == dataset_slug("a-b") == "a-b"
    assert dataset_slug("犬") == ""
