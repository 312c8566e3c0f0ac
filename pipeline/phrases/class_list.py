"""A class list as a caption: `cat. dog. fire hydrant.` with a span for each name.

Everything that works on captions works on it unchanged. A class may have several wordings, each
asked for by itself, and words that it must not be: competitors that are asked for as well, whose
boxes take away those of the class, and that are never a label.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.phrases.class_file import Named, read_class_file, unquoted
from schemas.errors import ConfigError
from schemas.records import Phrase

EXTRACTOR = "class-list"
SEPARATOR = ". "
_SPACES = re.compile(r"\s+")
_COMMA = re.compile(r",(?![^(]*\))")
"""A comma that is not inside parentheses."""
_ABBREVIATION = re.compile(r"(?:^|[\s.])[^\W\d_]\.(?=\S)")
"""`T.V.` and `u.s. flag`: letters with a stop each are one name."""
_LONE_STOP = re.compile(r"\s\.(?=\s|$)")
"""`cat . dog . bird`: how GLIP and Grounding DINO print it."""
_OTHER_COLON = re.compile(r":(?!\d)|(?<!\d):")
"""Not that of "clock at 12:30"."""
_LAST_STOP = re.compile(r"(?<=[a-z]{3})\s*\.$")
_WIDE = str.maketrans("，、،；：", ",,,;:")  # noqa: RUF001
"""Commas and colons of Chinese, Japanese and Arabic."""
_DASHES = "-‐‑‒–—−－"  # noqa: RUF001
"""What editors make of a minus."""
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_FILES = (".txt", ".json", ".yaml", ".yml", ".csv", ".tsv", ".names", ".pbtxt")
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
            raise ConfigError(f"names has no name in it, for example {_EXAMPLE}")
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
        entries = [
            _entry(part) if isinstance(part, str) else _named(part) for part in split_names(text)
        ]
        if not entries:
            raise ConfigError(f"names has no name in it, got {text!r:.80}; for example {_EXAMPLE}")
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
    def is_plain(self) -> bool:
        """Each class is asked for by its name alone."""
        return all(
            entry.wordings == (_as_read(entry.name),) and not entry.competitors
            for entry in self.entries
        )

    @property
    def caption(self) -> str:
        """All names as one caption: `cat. dog.`"""
        return list_caption(self.names)[0]

    @property
    def phrases(self) -> tuple[Phrase, ...]:
        """A phrase for each class, in order; its head is the class's name in lower case."""
        return list_caption(self.names)[1]

    @property
    def asked_alike(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Words that several classes are asked for by, and these classes: all of their boxes are
        of each of them."""
        classes: dict[str, list[str]] = defaultdict(list)
        for entry in self.entries:
            for word in dict.fromkeys(word.lower() for word in entry.wordings):
                classes[word].append(entry.name)
        return tuple((word, tuple(names)) for word, names in classes.items() if len(names) > 1)

    def fingerprint(self) -> dict[str, object]:
        """Everything that decides what is asked for."""
        return {"extractor": EXTRACTOR, "extractor_version": 1, "classes": self.to_plain()}


def split_names(text: str) -> list[str | Named]:
    """The classes of `--names`: what stands between commas, or between semicolons where there is
    one or a colon; between line ends; a Grounding DINO prompt; or `@FILE`. No blank parts.

    Raises:
        ConfigError: commas and semicolons are mixed, it is the name of a file, or the file cannot
            be read.
    """
    text = text.strip()
    if text.startswith("@"):
        found = read_class_file(text[1:])
        if len(found) != 1 or not isinstance(found[0], str):
            return found
        text = found[0]  # a file of one line: as it would be typed
    if text.lower().endswith(_FILES) and not any(sign in text for sign in ",;:\n"):
        raise ConfigError(f"names: {text!r} is the name of a file; @{text} reads its classes")
    if prompted := _of_prompt(text):
        return _stripped(prompted)
    text = text.translate(_WIDE)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if ":" not in text and ";" not in text:
        return _stripped(part for line in text.splitlines() for part in _by_commas(line))
    parts = _stripped(part for line in text.splitlines() for part in line.split(";"))
    for part in parts:
        name = part.partition(":")[0].strip()
        if _COMMA.search(name):
            raise ConfigError(
                f"names: {name!r} has a comma; where one class has wordings, put semicolons "
                f"between all classes: {_EXAMPLE}"
            )
    return [*parts]


def _of_prompt(text: str) -> list[str]:
    """The names of a prompt; empty where it is not one: `St. Bernard` is a name."""
    if any(sign in text.translate(_WIDE) for sign in ",;:"):
        return []
    *names, rest = text.strip().split(".")
    # `a cat. a dog.`: how Grounding DINO is asked.
    are_names = all(name.strip() and "\n" not in name.strip() for name in names)
    if len(names) > 1 and not rest and are_names and not _ABBREVIATION.search(text):
        return names
    if "\n" in text:
        return []
    if _LONE_STOP.search(text):
        return _LONE_STOP.split(text)
    parts = re.split(r"\.\s+", text)
    word = r"[^\W\d_]{3}$" if len(parts) > 2 else r"[a-z]{3}$"
    return parts if all(re.search(word, part) for part in parts[:-1]) else []


def _by_commas(line: str) -> list[str]:
    """Its parts, in linear time; see `_COMMA`."""
    parts: list[str] = []
    inside = False
    for piece in reversed(line.split(",")):
        if parts and inside:
            parts[-1] = f"{piece},{parts[-1]}"
        else:
            parts.append(piece)
        if mark := re.search("[()]", piece):
            inside = mark[0] == ")"
    return parts[::-1]


def _stripped(parts: Iterable[str]) -> list[Any]:
    names = [unquoted(part) for part in parts]
    return [_LAST_STOP.sub("", name) if name.count(".") == 1 else name for name in names if name]


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
    """The class of a line or of a part of the command line."""
    if ":" in (wide := text.translate(_WIDE)):
        name, _, rest = wide.partition(":")
        if _OTHER_COLON.search(rest):
            raise ConfigError(
                f"names: {text.strip()!r} has two colons; put semicolons between classes that have "
                f"wordings: {_EXAMPLE}"
            )
        if not name.strip():
            raise ConfigError(f"names: {text.strip()!r} has no name before the colon; {_EXAMPLE}")
        return _named(Named(name, tuple(rest.split(","))))
    return _named(Named(text))


def _named(given: Named) -> ClassEntry:
    name = _cleaned(given.name)
    if name and name[0] in _DASHES:
        raise ConfigError(
            f"names: {name!r} is a word that a class must not be; name the class before it, as in "
            '"helmet: -cap"'
        )
    if not name:
        raise ConfigError(f"names: {given.name!r} is a class without a name; {_EXAMPLE}")
    words = [word for word in map(_cleaned, given.words) if word]
    wordings = dict.fromkeys(word for word in words if word[0] not in _DASHES)
    competitors = (_cleaned(word.lstrip(_DASHES)) for word in words if word[0] in _DASHES)
    return ClassEntry(
        name=name,
        wordings=tuple(wordings) or (_as_read(name),),
        competitors=tuple(dict.fromkeys(word for word in competitors if word)),
    )


def _cleaned(text: str) -> str:
    """Without quote marks around it, what nobody sees, and spaces that are too many."""
    text = _INVISIBLE.sub("", text).strip()
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ConfigError(f"names: {text!r} has a control character in it")
    return _SPACES.sub(" ", unquoted(text))


def _as_read(name: str) -> str:
    """A name as a person would read it out: `bow_(weapon)` is asked for as "bow"."""
    words = _IN_PARENTHESES.sub(" ", name).replace("_", " ")
    return _SPACES.sub(" ", words).strip() or name
