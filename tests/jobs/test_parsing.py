"""Words to a `Config`: repetitions, names of options in messages, sub-commands."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from jobs import parsing
from jobs.arguments import Repeated, Run
from jobs.cli import COMMANDS, main
from jobs.parsing import Option, as_typed, options_of, parse
from schemas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Size:
    min_side_px: int = 8
    limit: int = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    run: tyro.conf.Positional[Run] = "r"
    corpus: str = ""
    image_field: str | None = None
    gold: Repeated = ()
    kinds: tuple[Literal["a", "b"], ...] = ()
    verify: bool = False
    open: bool = True
    images: Size = field(default_factory=Size)
    flat: tyro.conf.OmitArgPrefixes[Size] = field(default_factory=Size)


@dataclass(frozen=True, kw_only=True)
class Other:
    gold: str = ""
    place: str = ""


Both = (
    Annotated[Config, tyro.conf.subcommand("one")] | Annotated[Other, tyro.conf.subcommand("two")]
)


def read(*words: str, kind: object = Config) -> object:
    return parse(kind, words, prog="glipforge x", description=None)


def test_options_are_named_as_typed() -> None:
    assert set(options_of(Config)) == {
        *("--corpus", "--image-field", "--gold", "--kinds", "--verify", "--open"),
        *("--images.min-side-px", "--images.limit", "--min-side-px", "--limit"),
    }
    assert options_of(Both).keys() == options_of(Config).keys() | {"--place"}
    assert options_of(Both)["--gold"].is_list


@pytest.mark.parametrize(
    "words, said",
    [
        (["--corpus", "a", "--corpus", "b"], "--corpus was given 2 times, with 'a' and 'b'"),
        (["--corpus=a", "--corpus", "a"], "--corpus was given 2 times, with 'a' and 'a'"),
        (["--image_field", "a", "--image-field=b"], "--image-field was given 2 times"),
        (["--images.limit", "2", "--images.limit", "3"], "--images.limit was given 2 times"),
        (["--verify", "--verify"], "--verify was given 2 times; it is taken once"),
        (["--no-open", "--no-open"], "--open was given 2 times"),
        (["--kinds", "a", "--kinds", "b"], "--kinds was given 2 times, with 'a' and 'b'"),
    ],
)
def test_no_repetition_is_lost(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(*words)


def test_lists_may_be_repeated() -> None:
    found = read("--gold", "a", "--gold", "b", "--kinds", "a", "b")
    assert isinstance(found, Config)
    assert (found.gold, found.kinds) == (("a", "b"), ("a", "b"))


def test_none_is_a_word_as_any_other() -> None:
    found = read("--image-field", "None")
    assert isinstance(found, Config)
    assert found.image_field == "None"


def test_sub_commands_are_checked_too() -> None:
    with pytest.raises(ConfigError, match="--place was given 2 times"):
        read("two", "--place", "a", "--place", "b", kind=Both)


@pytest.mark.parametrize(
    "message, typed",
    [
        ("limit must be 0 or more", "--limit must be 0 or more"),
        ("corpus: '/limit' is gone", "--corpus: '/limit' is gone"),
        ("corpus 'x' holds no records", "corpus 'x' holds no records"),
        ("corpus 'x' does not exist", "--corpus 'x' does not exist"),
        ('corpus "it\'s" is a file', '--corpus "it\'s" is a file'),
        ("a corpus 'x' is needed", "a corpus 'x' is needed"),
        ("choose one with image_field", "choose one with --image-field"),
        ("No column. Give image_field.", "No column. Give --image-field."),
        ("plan.image_field was 'image_field'", "plan.image_field was 'image_field'"),
        ("image_field=3 is wrong", "--image-field=3 is wrong"),
        ("recipe.x is unknown; allowed: image_field", "recipe.x is unknown; allowed: image_field"),
    ],
)
def test_messages_name_options_as_typed(message: str, typed: str) -> None:
    names = ("limit", "corpus", "image_field")
    options = {
        f"--{name.replace('_', '-')}": Option(
            typed=f"--{name.replace('_', '-')}", field=name, is_list=False
        )
        for name in names
    }
    assert as_typed(message, options) == typed


def test_what_is_only_printed_names_options_as_typed() -> None:
    """What is raised is put right by the command line; nothing does that for notes and tables."""
    modules = [importlib.import_module(module) for module, _ in COMMANDS.values()]
    fields = {option.field for one in modules for option in options_of(one.Config).values()}
    identifiers = sorted(field for field in fields if "_" in field.strip("_"))
    assert "image_root" in identifiers
    named = re.compile(rf"(?<![\w.'\"=/-])({'|'.join(identifiers)})(?!\w|\.\w)")
    found = [
        f"{path}:{line}: {text}"
        for folder in ("jobs", "pipeline", "model", "schemas")
        for path in sorted(Path(parsing.__file__).parents[1].joinpath(folder).rglob("*.py"))
        if named.search(source := path.read_text(encoding="utf-8"))
        for line, text in _printed(ast.parse(source))
        if named.search(text)
    ]
    assert found == []


def _printed(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Sentences of a module that are neither raised nor documentation."""
    others = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise | ast.Expr)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in others:
            text = node.value if isinstance(node.value, str) else ""
            if " " in text.strip():
                yield node.lineno, text


def test_what_stands_alone_is_said_where_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (
            ["filter", "--run", "x"],
            "--run is not an option: RUN stands alone, as in `glipforge fil",
        ),
        (["review", "push", "--run=x"], "RUN stands alone, as in `glipforge review push RUN`"),
        (
            ["import", "--file", "x", "--out", "y"],
            "FILE stands alone, as in `glipforge import FILE",
        ),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err


def test_help_of_a_command_by_the_word_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["help", "label"])
    assert "usage: glipforge label" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, said",
    [
        ("export r --out x --format goldgg", "--format: there is no 'goldgg', did you mean goldg?"),
        ("label --out x --runner=locl", "--runner: there is no 'locl', did you mean local?"),
        ("pretrain --out x --tune linear_probe", "did you mean linear-probe?"),
        ("review pul r", "there is no 'pul', did you mean pull? allowed: push, open, pull"),
        ("corpus chek x", "there is no 'chek', did you mean check?"),
        ("schema recipes", "there is no 'recipes', did you mean recipe?"),
    ],
)
def test_a_word_that_is_nearly_one_of_those_allowed(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert said in capsys.readouterr().err
