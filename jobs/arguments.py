"""Kinds of arguments, named as the help shows them: RUN, CORPUS, FILE, DIR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

Run = Annotated[str, tyro.conf.arg(metavar="RUN")]
"""The directory or URL of a run."""
MaybeRun = Annotated[str | None, tyro.conf.arg(metavar="RUN")]
"""The directory or URL of a run, or none."""
Corpus = Annotated[str, tyro.conf.arg(metavar="CORPUS")]
"""A file, a folder, a pattern or a URL of these."""
Corpora = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="CORPUS")]
"""Corpora, each with the option again."""
Moves = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="OLD=NEW")]
"""Places that moved, each with the option again."""
Model = Annotated[str | None, tyro.conf.arg(metavar="MODEL")]
"""A model directory, a name or `shipped`."""
FileName = Annotated[str, tyro.conf.arg(metavar="FILE")]
"""A file, or the URL of one."""
DirName = Annotated[str, tyro.conf.arg(metavar="DIR")]
"""A folder, or the URL of one."""
FilePath = Annotated[Path, tyro.conf.arg(metavar="FILE")]
"""A local file."""
DirPath = Annotated[Path, tyro.conf.arg(metavar="DIR")]
"""A local folder."""
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
"""A local file, or none."""
MaybeDir = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
"""A local folder, or none."""
Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
"""An option that may be given several times, each time with one value."""
