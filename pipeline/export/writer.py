"""What a format is: a writer of records, and what the writer can say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.export.border import ExportBorder
from pipeline.export.categories import Categories
from pipeline.export.parts import Part
from pipeline.export.publication import Publication
from schemas.records import CuratedRecord

State = TypeVar("State")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A record that is written: checked, with its part and its image."""

    record: CuratedRecord
    part: Part
    file_name: str
    image: bytes | None = None
    """The encoded image, where images are embedded."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a writer is made with."""

    publication: Publication
    border: ExportBorder
    parts: list[Part]
    """Parts that must exist also where they stay empty."""
    categories: Categories
    splits: tuple[str, ...]
    name: str
    """File exports: the last part of the path."""


class Writer(ABC):
    """Writes the records of one export, each once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.border = target.border
        self.summary = target.border.summary
        self.options = target.border.options

    @abstractmethod
    def add(self, item: Item) -> bool:
        """Write a record; False where nothing of it can be said, and that was counted."""

    @abstractmethod
    def finish(self) -> None:
        """Write what comes last and close every file."""


class PerPart(Generic[State]):
    """One state (a file that is written) for each part; a split's earlier shards are sealed."""

    def __init__(
        self, parts: list[Part], make: Callable[[Part], State], seal: Callable[[State], object]
    ) -> None:
        self._make, self._seal = make, seal
        self._states = {part: make(part) for part in parts}

    def of(self, part: Part) -> State:
        """The state of a part, made where it is new."""
        if part not in self._states:
            self._states[part] = self._make(part)
            before = Part(split=part.split, shard=part.shard - 1)
            if before in self._states:
                self._seal(self._states[before])
        return self._states[part]

    def all(self) -> Iterator[State]:
        """Every state, in the order in which they were made."""
        yield from self._states.values()


@dataclass(frozen=True, kw_only=True)
class Format:
    """An export format."""

    extension: str
    """Of the file to write; empty: the format is a folder."""
    writer: Callable[[Target], Writer]
    images: str = "reference"
    """What is done with images unless it is said."""
    modes: tuple[str, ...] = ("reference", "copy", "link")
    """What can be done with them."""
    image_prefix: str = ""
    """Folders: where copies and links go."""
    keeps_empty: bool = True
    """True where it can say that an image has no box."""
    has_categories: bool = False
    has_crowds: bool = False
    """True where it can say that a region is to be ignored."""
    has_shards: bool = True
    """False where there is a file per image, or one for all that may not be divided."""

    @property
    def is_folder(self) -> bool:
        """True where `out` is a folder."""
        return not self.extension
