"""The facade: its names, what it loads, and what it says where a name of ours is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import glipforge

ROOT = Path(glipforge.__file__).parent


def python(*words: str, cwd: Path = ROOT, path: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", glipforge.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(glipforge, name) is not None
    assert name in dir(glipforge)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'glipforge' has no attribute 'Gilp'"):
        glipforge.Gilp  # noqa: B018


def test_importing_it_loads_nothing() -> None:
    packages = ("jobs", "model", "pipeline", "schemas", "numpy", "torch")
    done = python(
        "-c", f"import glipforge, sys; print([n for n in {packages} if n in sys.modules])"
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["glipforge", "jobs"])
def test_it_runs_as_a_module(module: str) -> None:
    assert "usage: glipforge COMMAND" in python("-m", module, "--help").stdout


@pytest.mark.parametrize(
    "name, is_folder",
    [("model", False), ("jobs", True), ("pipeline", True), ("schemas", False)],
)
def test_a_shadowed_package_is_a_sentence(name: str, is_folder: bool, tmp_path: Path) -> None:
    """A user's own model.py or jobs/ in the folder from which it is started."""
    if is_folder:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        place = tmp_path / name / "__init__.py"
    else:
        place = tmp_path / f"{name}.py"
        place.write_text("")
    for words in (("-m", "glipforge", "models"), ("-c", "from glipforge import Glip")):
        done = python(*words, cwd=tmp_path, path=f".{os.pathsep}{ROOT}")
        assert done.returncode != 0
        said = done.stderr.splitlines()[-1]
        assert f"package {name!r} is {place}, not the one of glipforge in {ROOT}" in said
        assert "install glipforge into an environment of its own" in said
    done = python("-m", "glipforge", "models", cwd=tmp_path, path=f".{os.pathsep}{ROOT}")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_folder_without_code_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """`model/` with weights in it: Python prefers our package to a folder without __init__.py."""
    (tmp_path / "model").mkdir()
    done = python("-m", "glipforge", "models", cwd=tmp_path, path=str(ROOT))
    assert done.returncode == 0, done.stderr
