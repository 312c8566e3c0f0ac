"""The wheel holds all that a command needs, and works away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WANTED = (
    "model/weights/nano/model.safetensors",
    "model/vocab/vocab.txt",
    "model/vocab/LICENSE",
    "pipeline/world/glyphs/noto.webp",
    "pipeline/world/glyphs/LICENSE-noto.txt",
    "pipeline/fiftyone/plugin/fiftyone.yml",
    "jobs/examples/rayjob.yaml",
)


@pytest.mark.slow
def test_labelling_from_an_installed_wheel(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    build = [str(uv), "build", "--quiet", "--wheel", "--out-dir", str(tmp_path / "dist")]
    subprocess.run([*build, str(REPOSITORY)], check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert names.issuperset(WANTED)
        assert not any(name.startswith("tests/") for name in names)
        archive.extractall(tmp_path / "site")

    def glipforge(*words: str) -> str:
        # -P: nothing of the folder it starts in; the packages come from the wheel, before all else.
        call = [sys.executable, "-P", "-m", "jobs", *words]
        env = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    glipforge("demo", "world", "--out", "web", "--scenes", "4")
    said = glipforge("label", "--corpus", "web", "--out", "run", "--runner", "local")
    assert "4: 4 usable" in said
