"""A class list as a caption: `cat. dog. fire hydrant.` with a span for each name.

Everything that works on captions works on it unchanged. A class may have several wordings, each
asked for by itself, and words that it must not be: competitors that are asked for as well, whose
boxes take away those of the class, and that are never a label.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError, reason_of
from schemas.records import Phrase

EXTRACTOR = "class-list"
SEPARATOR = ". "
_SPACES = re.compile(r"\s+")
_COMMA = re.compile(r",(?![^(]*\))")
"""A comma that is not inside parentheses."""
_PROMPT = re.compile(r"\s*[^.,;:\n]+(\.\s*[^.,;:\n]+)+\.\s*")
"""`a cat. a dog.`: how Grounding DINO is asked."""
_LISTED = re.compile(r"\s*(?:[-*•]\s)?\s*(?P<q>[\"']?)(?P<name>.*?)(?P=q)\s*[,;]*\s*")
"""Any line of a file: what YAML, JSON and spreadsheets put around a name is no part of it."""
_IN_PARENTHESES = re.compile(r"\([^()]*\)")
_EXAMPLE = '"cat, dog", "person: person, man; helmet: -cap, -hat", or @FILE with a class a line'


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEntry:
    """One class of the list."""

    name: str
    wordings: tuple[str, ...]
    """What is asked for; every box found is one of the class. Never empty."""
    competitors: tuple[str, ...] = ()
    """What it must not be: asked for as well, never a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassList:
    """The classes that a run looks for, in the order of the user."""

    entries: tuple[ClassEntry, ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ConfigError(f"names has no name in it; for example {_EXAMPLE}")
        seen: set[str] = set()
        for entry in self.entries:
            key = unicodedata.normalize("NFC", entry.name).casefold()
            if key in seen:
                raise ConfigError(f"names: the class {entry.name!r} stands twice")
            seen.add(key)
            asked = {word.lower() for word in entry.wordings}
            for word in entry.competitors:
                if word.lower() in asked:
                    raise ConfigError(
                        f"names: {word!r} is a wording of {entry.name!r} and a word that it must "
                        "not be; leave one out"
                    )

    @classmethod
    def parse(cls, text: str) -> ClassList:
        """Read `--names`.

        Args:
            text: As `split_names` reads it; `person: person, man` has wordings, `helmet: -cap` a
                word that it must not be.

        Raises:
            ConfigError: there is no name, one stands twice, or the file cannot be read.
        """
        entries = [_entry(part) for part in split_names(text)]
        return cls(entries=tuple(dict.fromkeys(entries)))

    @classmethod
    def from_plain(cls, plain: Sequence[Mapping[str, Any]]) -> ClassList:
        """The list of a plan; see `to_plain`."""
        return cls(
            entries=tuple(
                ClassEntry(
                    name=str(entry["name"]),
                    wordings=tuple(map(str, entry["wordings"])),
                    competitors=tuple(map(str, entry["competitors"])),
                )
                for entry in plain
            )
        )

    def to_plain(self) -> list[dict[str, Any]]:
        """JSON values for a plan."""
        return [
            {
                "name": entry.name,
                "wordings": list(entry.wordings),
                "competitors": list(entry.competitors),
            }
            for entry in self.entries
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in order."""
        return tuple(entry.name for entry in self.entries)

    @property
    def caption(self) -> str:
        """All names as one caption: `cat. dog.`"""
        return list_caption(self.names)[0]

    @property
    def phrases(self) -> tuple[Phrase, ...]:
        """A phrase for each class, in order; its head is the class's name in lower case."""
        return list_caption(self.names)[1]

    def fingerprint(self) -> dict[str, object]:
        """Everything that decides what is asked for."""
        return {"extractor": EXTRACTOR, "extractor_version": 1, "classes": self.to_plain()}


def split_names(text: str) -> list[str]:
    """The classes of `--names`: what stands between commas, or between semicolons where there is
    one or a colon; between line ends; a line each of `@FILE`; or a Grounding DINO prompt.

    Blank parts are left out; in a file, so are what follows ` #` or a `#` at the start, the dash
    of a list, a comma at the end and quote marks around a name.

    Raises:
        ConfigError: the file cannot be read, or commas and semicolons are mixed.
    """
    if text.startswith("@"):
        lines = (re.split(r"(?:^|\s)#", line)[0] for line in _lines_of(text[1:]))
        return _stripped(_LISTED.fullmatch(line)["name"] for line in lines)  # type: ignore[index]
    if _PROMPT.fullmatch(text):
        return _stripped(text.split("."))
    if ":" not in text and ";" not in text:
        return _stripped(part for line in text.splitlines() for part in _COMMA.split(line))
    parts = _stripped(part for line in text.splitlines() for part in line.split(";"))
    for part in parts:
        name = part.partition(":")[0].strip()
        if _COMMA.search(name):
            raise ConfigError(
                f"names: {name!r} has a comma; where one class has wordings, put semicolons "
                f"between all classes: {_EXAMPLE}"
            )
    return parts


def _stripped(parts: Iterable[str]) -> list[str]:
    return [part.strip() for part in parts if part.strip()]


def _lines_of(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"names: cannot read the file {path!r}: {error}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(f"names: cannot read the file {path!r}: {reason_of(error)}") from error


def list_caption(names: Sequence[str]) -> tuple[str, tuple[Phrase, ...]]:
    """Names as a caption, a full stop behind each, and their phrases."""
    phrases, start = [], 0
    for name in names:
        phrases.append(Phrase(text=name, start=start, end=start + len(name), head=name.lower()))
        start += len(name) + len(SEPARATOR)
    return SEPARATOR.join(names) + ".", tuple(phrases)


def planned_classes(config: Mapping[str, Any]) -> ClassList | None:
    """The class list of a run, from its plan's `config`; None for a run over captions."""
    phrases = config.get("phrases", {})
    if phrases.get("extractor") != EXTRACTOR:
        return None
    return ClassList.from_plain(phrases["classes"])


def _entry(text: str) -> ClassEntry:
    name, colon, rest = text.partition(":")
    name = _SPACES.sub(" ", name).strip()
    words = [_SPACES.sub(" ", word).strip() for word in rest.split(",")] if colon else []
    wordings = tuple(dict.fromkeys(word for word in words if word and word[0] != "-"))
    competitors = (word[1:].strip() for word in words if word.startswith("-"))
    if name.startswith("-"):
        raise ConfigError(
            f"names: {name!r} is a word that a class must not be; name the class before it, as in "
            '"helmet: -cap"'
        )
    if any(unicodedata.category(char) == "Cc" for char in text.strip()):
        raise ConfigError(f"names: {text.strip()!r} has a control character in it")
    if not name:
        raise ConfigError(f"names: {text.strip()!r} has no name before the colon; {_EXAMPLE}")
    return ClassEntry(
        name=name,
        wordings=wordings or (_as_read(name),),
        competitors=tuple(dict.fromkeys(word for word in competitors if word)),
    )


def _as_read(name: str) -> str:
    """A name as a person would read it out: `bow_(weapon)` is asked for as "bow"."""
    words = _IN_PARENTHESES.sub(" ", name).replace("_", " ")
    return _SPACES.sub(" ", words).strip() or name
