"""Look at this machine: what labelling needs, what review and the tests need, in one table.

`missing` is what labelling cannot do without, `absent` what only some commands want; each line says
what to do. The exit code is 1 when something is missing.
"""

from __future__ import annotations

import json as json_module
from dataclasses import asdict, dataclass

from jobs.arguments import DirName

EXAMPLES = ("glipforge doctor",)
_STYLES = {"ok": "green", "missing": "bold red", "absent": "yellow"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge doctor`."""

    store: DirName = ""
    """Where a run would be written, as s3://BUCKET/FOLDER: an object is created there, created
    again (which must be refused), read and removed."""
    json: bool = False
    """Print JSON instead of a table."""


def run(config: Config) -> int:
    """Print what was found; returns 0, or 1 if labelling lacks something."""
    from jobs.health import Finding, examine

    found: list[Finding] = list(examine(config.store))
    if config.json:
        print(json_module.dumps([asdict(finding) for finding in found], indent=1))
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in found:
            state = Text(finding.state, style=_STYLES[finding.state])
            table.add_row(finding.part, state, Text(finding.text))
        Console().print(table)
    missing = [finding.part for finding in found if finding.state == "missing"]
    if missing and not config.json:
        print(f"labelling lacks: {', '.join(missing)}")
    elif not config.json:
        print("this machine can label; next: glipforge corpus check CORPUS")
    return 1 if missing else 0
