"""The runner of all tests: nothing is left out of both halves, and no failure is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    "pytest.ini": "[pytest]\nmarkers = slow\n",
    "test_a.py": """
import pytest

@pytest.mark.slow
def test_slow():
    assert {slow}

def test_quick():
    assert {quick}
""",
}


def run(folder: Path, *args: str, slow: bool = True, quick: bool = True) -> tuple[int, str]:
    for name, text in FILES.items():
        (folder / name).write_text(text.format(slow=slow, quick=quick))
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "two_halves.py", "-p", "no:cacheprovider", "-rA", *args],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they are slow to load
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout


def test_each_test_runs_once(tmp_path: Path) -> None:
    code, said = run(tmp_path)
    assert code == 0
    assert said.count("PASSED test_a.py::test_slow") == 1
    assert said.count("PASSED test_a.py::test_quick") == 1
    assert said.count("1 passed, 1 deselected") == 2
    assert "both halves passed in " in said


@pytest.mark.parametrize("broken", ["slow", "quick"])
def test_a_failure_of_either_half_is_one(broken: str, tmp_path: Path) -> None:
    code, said = run(tmp_path, **{broken: False})
    assert code == 1
    assert f"FAILED test_a.py::test_{broken}" in said
    assert "both halves passed" not in said


def test_a_half_without_a_test_is_no_failure(tmp_path: Path) -> None:
    assert run(tmp_path, "-k", "quick")[0] == 0
    assert run(tmp_path, "-k", "neither")[0] == 5


def test_other_marks_are_for_one_process(tmp_path: Path) -> None:
    code, said = run(tmp_path, "-m", "not slow")
    assert (code, "make unit PYTEST_ARGS" in said) == (4, True)
