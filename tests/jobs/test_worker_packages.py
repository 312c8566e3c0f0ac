"""A labelling node: an environment of requirements-worker.txt and the wheel, nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jobs

ROOT = Path(jobs.__file__).parents[1]
REQUIREMENTS = ROOT / "requirements-worker.txt"
ABSENT = ("fiftyone", "pymongo", "pycocotools", "matplotlib", "tensorboard")


def lines() -> list[str]:
    found = REQUIREMENTS.read_text().splitlines()
    return [line for line in found if line and not line.startswith("#")]


def name_and_range(requirement: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[^\]]*\])?(.*)", requirement)
    assert match is not None, requirement
    return match[1], match[2]


def test_ranges_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_project = dict(map(name_and_range, project["dependencies"]))
    worker = dict(map(name_and_range, lines()))
    assert worker.items() <= of_project.items()
    assert not worker.keys() & set(ABSENT)


@pytest.mark.slow
def test_a_worker_labels_filters_and_exports(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    env |= {"UV_HTTP_TIMEOUT": "300", "UV_HTTP_RETRIES": "8"}  # a registry that is slow for once

    def do(*words: object, code: int = 0) -> str:
        command = [str(word) for word in words]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    uv = Path(sys.executable).parent / "uv"
    python = tmp_path / "node" / "bin" / "python"
    install = (uv, "pip", "install", "--quiet", "--python", python)
    do(uv, "build", "--quiet", "--wheel", "--out-dir", "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    do(uv, "venv", "--quiet", "--python", sys.executable, "node")
    do(*install, "--constraint", ROOT / "constraints.txt", "--requirement", REQUIREMENTS)
    do(*install, "--no-deps", wheel)

    glipforge = tmp_path / "node" / "bin" / "glipforge"
    do(glipforge, "demo", "world", "--out", "corpus", "--scenes", 8)
    shown = do(glipforge, "label", "--corpus", "corpus", "--out", "run", "--runner", "local")
    assert "run: complete" in shown
    assert "8 usable" in do(glipforge, "status", "run")
    assert "kept by the rules" in do(glipforge, "filter", "run")
    do(glipforge, "export", "run", "--format", "goldg", "--out", "labels.json")
    assert (tmp_path / "labels.json").stat().st_size > 100
    said = do(glipforge, "review", "push", "run", code=2)
    assert "Traceback" not in said
    assert "fiftyone" in said
    assert "pip install" in said
    table = do(glipforge, "doctor")
    assert "fiftyone is not installed" in " ".join(table.split())
