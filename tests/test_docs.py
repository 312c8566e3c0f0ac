"""The pages are true: links lead somewhere, citations exist, commands parse, Python runs."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import glipforge
from jobs.cli import COMMANDS, GROUPS
from jobs.parsing import parse
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import POLICIES, policy_from_json
from schemas.errors import ConfigError

ROOT = Path(glipforge.__file__).parent
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "schemas/*.md", "jobs/examples/**/*.md")
    for page in ROOT.glob(pattern)
)


def text_of(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_that_are_named_exist(page: Path) -> None:
    for module in set(re.findall(r"python -m (tests[\w.]+)", text_of(page))):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def commands_of(text: str) -> Iterator[list[str]]:
    """Lines `glipforge ...` of code blocks, as a shell cuts them, up to a comment or a pipe."""
    for block in re.findall(r"^```(?:sh|console|bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        typed = "$ " if re.search(r"^\$ ", block, re.MULTILINE) else ""  # the rest is output
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith(typed):
                continue
            line = line.strip().removeprefix(typed)
            if line.startswith("glipforge ") and "..." not in line:
                words = shlex.split(line, comments=True)
                yield words[1 : words.index("|")] if "|" in words else words[1:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page: Path) -> None:
    for words in commands_of(text_of(page)):
        name, rest = words[0], words[1:]
        assert name in COMMANDS, words
        module = importlib.import_module(COMMANDS[name][0])
        try:
            parse(module.Config, rest, prog=name, description=None)
        except (SystemExit, ConfigError) as error:
            pytest.fail(f"{name_of(page)}: glipforge {shlex.join(words)}: {error}")


def test_sections_that_code_cites_exist() -> None:
    sections = set(re.findall(r"^#+ (\d+(?:\.\d+)?)[. ]", text_of("docs/glip.md"), re.MULTILINE))
    quirks = text_of("docs/glip.md").partition("## 14.")[2].partition("## 15.")[0]
    sections |= {f"14.{number}" for number in re.findall(r"^(\d+)\. ", quirks, re.MULTILINE)}
    cited = set()
    for folder in ("model", "pipeline", "jobs", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            code = path.read_text(encoding="utf-8")
            cited |= set(re.findall(r"docs/glip\.md section (\d+(?:\.\d+)?)", code))
    assert cited
    assert cited <= sections


def test_the_architecture_names_every_folder() -> None:
    page = text_of("docs/architecture.md")
    for package in ("pipeline", "model", "jobs"):
        for folder in sorted((ROOT / package).iterdir()):
            if folder.is_dir() and (folder / "__init__.py").exists():
                assert f"  {folder.name}/" in page, f"{package}/{folder.name}"


def test_every_field_of_a_policy_is_documented() -> None:
    page = text_of("docs/policies.md")
    rows = re.findall(r"^\| `([a-z_]+)` \| ", page, re.MULTILINE)
    assert [name for name in FilterPolicy.__dataclass_fields__ if name not in rows] == []
    assert [name for name in POLICIES if f"`{name}`" not in page] == []
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert policy_from_json(example, where="example").name == "street"


def test_the_api_page_has_every_public_name() -> None:
    page = text_of("docs/api.md")
    assert [name for name in glipforge.__all__ if not re.search(rf"\b{name}\b", page)] == []


@pytest.mark.slow
def test_the_api_page_runs(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def do(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    glip = ("-m", "glipforge")
    do(*glip, "demo", "world", "--out", "world", "--scenes", "6")
    do(*glip, "demo", "world", "--out", "gold", "--kind", "gold", "--scenes", "3")
    do(*glip, "label", "--corpus", "world", "--out", "run", "--runner", "local")
    do(*glip, "filter", "run")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text_of("docs/api.md"), re.DOTALL))
    do("-c", code)


def test_groups_are_those_of_the_design() -> None:
    assert list(GROUPS) == ["try", "prepare", "label", "make right", "use", "train"]
