"""The wheel, as an image of a cluster holds it: installed apart from the source, used elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy
import pytest

import jobs

ROOT = Path(jobs.__file__).parents[1]
DATA = (
    "jobs/examples/cluster.yaml",
    "jobs/examples/rayjob.yaml",
    "model/vocab/LICENSE",
    "model/vocab/vocab.txt",
    "model/weights/nano/model.safetensors",
    "model/weights/nano/recipe.json",
    "pipeline/review/app/plugin/fiftyone.yml",
    "pipeline/world/glyphs/LICENSE-noto.txt",
    "pipeline/world/glyphs/noto.webp",
    "pipeline/world/glyphs/nouns.json",
    "schemas/py.typed",
)


@pytest.mark.slow
def test_the_wheel_labels_from_another_folder(tmp_path: Path) -> None:
    """Its dependencies are those of this environment, whose editable install it does not see."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    env |= {"UV_HTTP_TIMEOUT": "300", "UV_HTTP_RETRIES": "8"}  # a registry that is slow for once

    def do(*words: object) -> str:
        command = [str(word) for word in words]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    uv = Path(sys.executable).parent / "uv"
    do(uv, "build", "--quiet", "--wheel", "--out-dir", "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names.issuperset(DATA)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        *("glipforge.py", "jobs", "model", "pipeline", "schemas")
    }

    image = tmp_path / "image"
    venv.create(image)
    python = image / "bin" / "python"
    do(uv, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel)
    (packages,) = image.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n")
    assert do(python, "-c", "import jobs; print(jobs.__file__)").startswith(str(packages))

    glipforge = image / "bin" / "glipforge"
    do(glipforge, "demo", "world", "--out", "corpus", "--scenes", 8)
    shown = do(glipforge, "label", "--corpus", "corpus", "--out", "run", "--runner", "local")
    assert "glip-nano@" in shown
    assert "run: complete" in shown
    assert "rows     8: 8 usable, 0 with a reason" in shown
