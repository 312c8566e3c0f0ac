"""Print the JSON schema of a file that people write, for editors that check while one types."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import textwrap
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

EXAMPLES = ("glipforge schema policy", "glipforge schema recipe")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge schema`."""

    file: Annotated[Literal["policy", "recipe"], tyro.conf.Positional]
    """policy: what `filter --policy FILE.json` reads; recipe: what `pretrain --recipe` reads."""


def run(config: Config) -> int:
    """Print the schema."""
    made = policy_schema() if config.file == "policy" else recipe_schema()
    print(json.dumps(made, indent=1))
    return 0


def policy_schema() -> dict[str, Any]:
    """Of a policy file: its own fields, and `base`."""
    from pipeline.curation.rules.policy import FilterPolicy
    from pipeline.curation.rules.presets import POLICIES

    made = _schema(FilterPolicy)
    base = {"enum": list(POLICIES), "description": "A preset whose fields are the start."}
    made["properties"] = {"base": base, **made["properties"]}
    return made


def recipe_schema() -> dict[str, Any]:
    """Of a recipe file: every field may be left out, the preset has it."""
    from jobs.training.recipe import Recipe

    made = _schema(Recipe)
    for part in (made, *made["$defs"].values()):
        part.pop("required", None)
    return made


def _schema(kind: type) -> dict[str, Any]:
    from schemas.checked import adapter

    made = adapter(kind).json_schema()
    classes = _classes(kind, {})
    for name, part in (("", made), *made.get("$defs", {}).items()):
        documented = classes.get(name or kind.__name__)
        if documented is None:
            continue
        part["description"] = str(inspect.getdoc(documented)).partition("\n\nRaises:")[0]
        for field, text in _field_texts(documented).items():
            if field in part.get("properties", {}):
                part["properties"][field]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _classes(kind: Any, found: dict[str, type]) -> dict[str, type]:
    """The dataclass and all that its fields hold, by name."""
    import dataclasses
    import typing

    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        found[kind.__name__] = kind
        for hint in typing.get_type_hints(kind).values():
            _classes(hint, found)
    for argument in typing.get_args(kind):
        _classes(argument, found)
    return found


def _field_texts(kind: type) -> dict[str, str]:
    """Field -> the text below it in the class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    texts: dict[str, str] = {}
    lines = list(ast.iter_child_nodes(body))
    for line, after in itertools.pairwise(lines):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and is_text:
            texts[line.target.id] = inspect.cleandoc(str(after.value.value))  # type: ignore
    return texts
