"""What is told of a class list: how it was read, and what of it could not be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from pipeline.phrases.class_list import ClassEntry, ClassList
from schemas.records import Annotation, PhraseStatus

SHOWN = 8
"""Classes that are written out."""
_MAX_CHARS = 60
"""Of each."""


def how_it_was_read(classes: ClassList) -> Iterator[str]:
    """The classes in a line, and those that are asked for by the same word."""
    shown = [_shortened(_shown(entry)) for entry in classes.entries[:SHOWN]]
    yield f"classes  {_listed(len(classes.entries), shown, '; ')}"
    for word, names in islice(classes.asked_alike, SHOWN):
        yield (
            f"         {word!r} is asked for {_listed(len(names), names[:SHOWN], ', ')}: each of "
            "them gets the same boxes; other wordings tell them apart"
        )


def not_asked(rows: Iterable[Annotation]) -> Iterator[str]:
    """The classes that the teacher could not be asked for: of one row, since of each the same."""
    row = next((row for row in rows if row.phrases), None)
    if row is None:
        return
    names = [p.text for p in row.phrases if p.status is PhraseStatus.TRUNCATED]
    if names:
        yield (
            f"not seen {_listed(len(names), [_shortened(n) for n in names[:SHOWN]], ', ')}: the "
            "teacher has no word for it, or it is too long; another wording may do"
        )


def _shown(entry: ClassEntry) -> str:
    words = [word for word in entry.wordings if entry.wordings != (entry.name,)]
    words += [f"not {word}" for word in entry.competitors]
    return f"{entry.name} ({', '.join(words)})" if words else entry.name


def _listed(number: int, shown: Iterable[str], between: str) -> str:
    shown = list(shown)
    more = f" and {number - len(shown):,} more" if number > len(shown) else ""
    return f"{number:,}: {between.join(shown)}{more}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + "…"
