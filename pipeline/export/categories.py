"""Categories of boxes: head nouns as they come, one for all, a closed list, or synonyms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.curation.rules.phrase_rules import phrase_head
from pipeline.gold.checks import clean_name, read_json, read_text
from pipeline.gold.class_names import numbered_names, read_yaml
from pipeline.phrases.drop_words import LEADING_WORDS
from pipeline.run.info import KnownCategories
from schemas.errors import ConfigError, DataError
from schemas.records import CuratedBox, CuratedRecord, Phrase

NOT_LISTED = "box whose phrase is none of the categories"


class Categories:
    """Gives phrases their category: a number that counts from 0 in the order of `names`.

    An open list (`head`) grows as head nouns come: never one category per phrase, a web corpus has
    tens of millions of those. A closed list refuses what it does not name.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        *,
        ids: Sequence[int | str] = (),
        synonyms: Mapping[str, str] | None = None,
        mode: str = "head",
        is_known: bool = False,
    ) -> None:
        self._is_known = is_known
        """Those of an imported run or of a class list: its phrases have their names as heads."""
        self.mode = mode
        self.names = list(names)
        self._ids = list(ids)
        self._places = {name: place for place, name in reversed(list(enumerate(names)))}
        self._by_words: dict[str, int] = {}
        for word, name in (synonyms or {}).items():
            self._by_words.setdefault(_words(word), self._places[name])
        if mode == "list":
            for name in names:
                self._by_words.setdefault(_words(name), self._places[name])
        self._longest = max((len(words.split()) for words in self._by_words), default=0)

    def described(self, choice: str) -> str:
        """What the option `choice` came to, for a note: `head` of a class list is that list."""
        return "the run's own list" if self._is_known else choice

    def id_of(self, place: int) -> int | str:
        """The id that files carry: as given, else counting from 1."""
        return self._ids[place] if place < len(self._ids) else place + 1

    def of_box(self, record: CuratedRecord, box: CuratedBox) -> int | None:
        """The category of a box: that of the first of its phrases that has one."""
        for index in box.phrase_indices:
            found = self.of_phrase(record.phrases[index])
            if found is not None:
                return found
        return None

    def of_phrase(self, phrase: Phrase) -> int | None:
        """The category of a phrase; None where a closed list does not name it."""
        if self.mode == "object":
            return self._place("object")
        if self.mode == "head":
            return self._place(phrase_head(phrase))
        if self._is_known and phrase.head in self._places:
            return self._places[phrase.head]
        return self._listed(phrase)

    def of_name(self, name: str) -> int | None:
        """The category of a name that a gold file has, as `of_phrase`."""
        return self.of_phrase(Phrase(text=name, start=0, end=len(name), head=name))

    def _listed(self, phrase: Phrase) -> int | None:
        """The longest listed name that the phrase ends with; its head noun may be a plural."""
        words = _words(phrase.text).split()
        while words and words[0] in LEADING_WORDS:
            words.pop(0)
        head = phrase_head(phrase)
        for length in range(min(self._longest, len(words)), 0, -1):
            ending = words[-length:]
            for last in (ending[-1], head):
                place = self._by_words.get(" ".join([*ending[:-1], last]))
                if place is not None:
                    return place
        return self._by_words.get(head)

    def _place(self, name: str) -> int:
        if name not in self._places:
            self._places[name] = len(self.names)
            self.names.append(name)
        return self._places[name]


def read_categories(choice: str, known: KnownCategories | None = None) -> Categories:
    """The categories that an option names.

    Args:
        choice: `head`, `object`, names between commas (`cat,` is one), or a file: `.txt` (a name a
            line), `.yaml` (YOLO's data.yaml), `.json` (a list, numbers to names, or names to
            synonyms).
        known: those of an imported run or of a class list, which `head` then means.

    Raises:
        ConfigError: it is none of these, or a name is empty or twice.
    """
    if choice in ("head", "object"):
        if choice == "head" and known is not None and known.names:
            return Categories(known.names, ids=known.ids, mode="list", is_known=True)
        return Categories(mode=choice)
    ending = Path(choice).suffix.lower()
    if ending in (".json", ".yaml", ".yml", ".txt") or choice.startswith("@"):
        try:
            return _from_file(choice.removeprefix("@"), ending)
        except DataError as error:
            raise ConfigError(f"categories: {error}") from error
    names = [name.strip() for name in choice.split(",")]
    if len(names) == 1 and names[0]:
        raise ConfigError(
            f"categories must be head, object, names between commas or a file, got {choice!r}; one "
            f"name alone is {names[0] + ','!r}"
        )
    if len(names) == 2 and not names[1]:
        names.pop()
    return _closed(names, f"categories {choice!r}")


def _from_file(path: str, ending: str) -> Categories:
    where = f"categories {path!r}"
    if ending == ".json":
        raw = read_json(path)
    elif ending in (".yaml", ".yml"):
        raw = read_yaml(path)
        raw = raw.get("names", raw) if isinstance(raw, dict) else raw
    else:
        raw = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if isinstance(raw, dict) and not all(str(key).isdecimal() for key in raw):
        return _with_synonyms(raw, where)
    numbered = numbered_names(raw, where)
    order = sorted(numbered)
    ids = order if isinstance(raw, dict) else ()
    return _closed([numbered[number] for number in order], where, ids=ids)


def _with_synonyms(raw: dict[Any, Any], where: str) -> Categories:
    """`{"person": ["woman", "man"]}`, or `{"woman": "person"}`."""
    synonyms: dict[str, str] = {}
    names: dict[str, None] = {}
    for key, value in raw.items():
        listed = isinstance(value, list)
        words = value if listed else [key]
        name = key if listed else value
        if not isinstance(name, str) or not all(isinstance(word, str) for word in words):
            raise ConfigError(
                f"{where}: {key!r} must have a name or a list of synonyms, got {value!r:.100}"
            )
        names[name] = None
        synonyms |= dict.fromkeys(words, name)
    _check(list(names), where)
    return Categories(list(names), synonyms=synonyms, mode="list")


def _closed(names: list[str], where: str, *, ids: Sequence[int] = ()) -> Categories:
    _check(names, where)
    return Categories(names, ids=ids, mode="list")


def _check(names: list[str], where: str) -> None:
    for place, name in enumerate(names):
        if not name.strip():
            raise ConfigError(f"{where}: the name number {place + 1} is empty")
        if name in names[:place]:
            raise ConfigError(f"{where}: the name {name!r} occurs twice")


def _words(name: str) -> str:
    return " ".join(clean_name(name).lower().split())
