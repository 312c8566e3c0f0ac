"""The house: files of one noun, folders of one topic, a test for each module."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "pipeline", "model", "jobs")
MAX_LINES, MAX_MODULES = 300, 20
PAGE = ROOT / "tests" / "README.md"


def modules(*tops: str) -> list[Path]:
    return [
        path.relative_to(ROOT)
        for top in tops
        for path in sorted((ROOT / top).rglob("*.py"))
        if "__pycache__" not in path.parts
    ]


def mirror(module: Path) -> Path:
    return Path("tests", module).with_name(f"test_{module.name}")


def told() -> dict[str, str]:
    """Module, or folder with its `/` -> where tests/README.md says it is tested."""
    rows = re.findall(r"^\| `([\w/.]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    found = dict(rows)
    assert len(found) == len(rows), "a line stands twice in tests/README.md"
    return found


def test_no_file_is_long() -> None:
    long = {
        str(path): lines
        for path in modules(*PACKAGES)
        if (lines := len((ROOT / path).read_text().splitlines())) > MAX_LINES
    }
    assert not long, f"over {MAX_LINES} lines, split by noun: {long}"


@pytest.mark.parametrize("tops", [PACKAGES, ("tests",)])
def test_no_folder_is_full(tops: tuple[str, ...]) -> None:
    numbers = Counter(str(path.parent) for path in modules(*tops) if path.name != "__init__.py")
    full = {folder: number for folder, number in numbers.items() if number > MAX_MODULES}
    assert not full, f"over {MAX_MODULES} modules, split by topic: {full}"


def is_told(module: Path, lines: dict[str, str]) -> bool:
    return str(module) in lines or any(f"{folder}/" in lines for folder in module.parents)


def test_each_module_has_a_test_or_a_line() -> None:
    lines = told()
    lost = [
        str(path)
        for path in modules(*PACKAGES)
        if path.name not in ("__init__.py", "__main__.py")
        and not (ROOT / mirror(path)).exists()
        and not is_told(path, lines)
    ]
    assert not lost, f"neither tests/.../test_NAME.py nor a line in tests/README.md: {lost}"


def test_each_line_is_true() -> None:
    for place, where in told().items():
        assert (ROOT / place).exists(), f"tests/README.md tells of {place}, which is gone"
        assert place.endswith("/") == (ROOT / place).is_dir()
        assert not (ROOT / mirror(Path(place))).exists(), f"{place} has a test of its own"
        tests = re.findall(r"`([\w/.]+)`", where)
        assert tests, f"{place}: say a test between backquotes"
        for test in tests:
            assert (ROOT / "tests" / test).exists(), f"{place}: there is no tests/{test}"
