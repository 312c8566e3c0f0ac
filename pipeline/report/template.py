"""Pages from the templates beside this file; every value is escaped unless it is `Markup`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from schemas.redaction import page_text


def fill(name: str, **values: object) -> str:
    """The text of `templates/<name>.html` with its values.

    Raises:
        jinja2.UndefinedError: a value of the template is not given.
    """
    return page_text(_template(name).render(values))


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{name}.html")
