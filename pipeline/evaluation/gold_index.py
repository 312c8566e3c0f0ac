"""Which record is which gold sample: by record id, else by the longest common path and the size."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from pipeline.gold.gold_set import GoldKind, GoldSet
from pipeline.images.address import ImageAddress, UriKind
from schemas.errors import ConfigError
from schemas.records import Annotation, CuratedRecord, TrainingSample

LabelledPair = Annotation | CuratedRecord
MAX_NAMED = 5
_BY_ID = 1_000_000
"""Stands for a path in common that no other can beat."""


@dataclass(frozen=True, kw_only=True)
class JoinedPair:
    """A record of the run and the gold sample about the same image and caption."""

    sample: TrainingSample
    record: LabelledPair


@dataclass(kw_only=True)
class JoinCounts:
    """How much of run and gold was compared."""

    gold_samples: int = 0
    gold_samples_joined: int = 0
    joined: int = 0
    """Records with a gold sample; several captions of one image may share a detection sample."""
    joined_by_id: int = 0
    joined_by_name_alone: int = 0
    """Records whose file name is all that their path has in common with gold's."""
    records_without_gold: int = 0
    ambiguous_records: int = 0
    """Several gold samples have this file name and caption, none with more of the path."""
    records_of_other_size: int = 0
    """The only gold of this name is of an image of another size."""
    records_outdone: int = 0
    """Another record's path fits the gold sample better, or another image's as well."""
    records_unmatched: list[str] = field(default_factory=list)
    """The first records without gold, for whatever reason, by id."""
    gold_unmatched: list[str] = field(default_factory=list)
    """The first gold samples without a record, by id."""
    gold_phrases: int = 0
    phrases_exact: int = 0
    """Gold phrases whose span the parser found exactly."""
    phrases_overlapping: int = 0
    phrases_missed: int = 0
    """Gold phrases that the parser did not propose: misses in every recall."""
    phrases_by_synonym: int = 0
    """Detection gold: phrases that name a category by another word."""
    labels_elsewhere: int = 0
    """Boxes of the run on phrases that gold does not name: not judged."""

    def notes(self) -> list[str]:
        """What was not compared, in sentences."""
        notes = []
        for number, why in (
            (self.records_without_gold, "have no gold sample"),
            (self.ambiguous_records, "fit several gold samples equally well"),
            (self.records_of_other_size, "have only gold of another image size"),
            (self.records_outdone, "fit gold that another image fits as well or better"),
        ):
            if number:
                notes.append(f"{number} records of the run {why}; they are not judged")
        if self.records_unmatched:
            notes.append(f"records that are not judged: {_named(self.records_unmatched)}")
        missing = self.gold_samples - self.gold_samples_joined
        if missing:
            notes.append(
                f"{missing} of {self.gold_samples} gold samples are not in the run; figures are "
                f"over the others. Missing: {_named(self.gold_unmatched)}"
            )
        if self.joined_by_name_alone:
            notes.append(
                f"{self.joined_by_name_alone} records were joined by their file name alone: no "
                "folder of their path is gold's"
            )
        return notes


@dataclass(frozen=True, slots=True)
class Match:
    """A record and the sample that fits it best."""

    record: LabelledPair
    sample: TrainingSample
    common: int
    """Path parts in common, from the end, whatever their case."""
    same_case: bool = True
    """They are also written alike: `A.JPG` may be `a.jpg`, but not where both are there."""

    @property
    def rank(self) -> tuple[int, bool]:
        """The greater, the better it fits."""
        return self.common, self.same_case


def join_run(
    records: Iterable[LabelledPair], gold: GoldSet, counts: JoinCounts
) -> list[JoinedPair]:
    """Records beside their gold samples, in the order of the run; of a detection set one image may
    have several captions.

    A record whose id is a sample's is that sample. Others need the same file name, the caption
    where gold has one, and the size; of several, the longest common path decides, on both sides.

    Raises:
        ConfigError: not one record has a gold sample.
    """
    index = GoldIndex(gold)
    counts.gold_samples = len(gold.samples)
    matches = [match for record in records if (match := index.find(record, counts)) is not None]
    joined = []
    best = _best_images(matches)
    for match in matches:
        images = best[match.sample.sample_id]
        if match.common < _BY_ID and images != {_path(match.record)}:
            counts.records_outdone += 1
            _name(counts.records_unmatched, match.record.record_id)
            continue
        joined.append(JoinedPair(sample=match.sample, record=match.record))
        counts.joined_by_id += match.common == _BY_ID
        counts.joined_by_name_alone += match.common == 1 and len(_path(match.record)) > 1
    seen = {pair.sample.sample_id for pair in joined}
    counts.joined, counts.gold_samples_joined = len(joined), len(seen)
    for sample in gold.samples:
        if sample.sample_id not in seen:
            _name(counts.gold_unmatched, sample.sample_id)
    if not joined:
        wanted = "file name and caption" if gold.kind == GoldKind.GROUNDING else "file name"
        raise ConfigError(
            f"no record of the run is a sample of gold {gold.name!r}, by record id or by {wanted}: "
            f"gold has {counts.gold_samples} samples; {counts.records_without_gold} records fit "
            f"none, {counts.ambiguous_records} several, {counts.records_of_other_size} one of "
            f"another size, and {counts.records_outdone} one that another image fits as well"
        )
    return joined


def _best_images(matches: Sequence[Match]) -> dict[str, set[tuple[str, ...]]]:
    """For each sample the images whose path has most in common with it: one, or it is unclear."""
    most: dict[str, tuple[int, bool]] = {}
    for match in matches:
        known = most.get(match.sample.sample_id, match.rank)
        most[match.sample.sample_id] = max(known, match.rank)
    images: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for match in matches:
        if match.rank == most[match.sample.sample_id]:
            images[match.sample.sample_id].add(_path(match.record))
    return images


class GoldIndex:
    """Finds the gold sample of a record; `join_run` asks it about all records of a run."""

    def __init__(self, gold: GoldSet) -> None:
        self._by_caption = gold.kind == GoldKind.GROUNDING
        self._by_id = {sample.sample_id: sample for sample in gold.samples}
        self._by_file: defaultdict[tuple[str, str], list[TrainingSample]] = defaultdict(list)
        for sample in gold.samples:
            self._by_file[self._key(sample)].append(sample)

    def find(self, record: LabelledPair, counts: JoinCounts) -> Match | None:
        """The sample of a record, or None, which is counted by its reason."""
        own = self._by_id.get(record.record_id)
        if own is not None:
            return Match(record, own, _BY_ID)
        named = self._by_file.get(self._key(record), [])
        fitting = [sample for sample in named if _same_size(record, sample)]
        matches = [Match(record, one, *_common(_path(record), _path(one))) for one in fitting]
        most = max((match.rank for match in matches), default=(0, True))
        best = [match for match in matches if match.rank == most]
        if len(best) == 1:
            return best[0]
        counts.records_without_gold += not named
        counts.records_of_other_size += bool(named) and not fitting
        counts.ambiguous_records += bool(best)
        _name(counts.records_unmatched, record.record_id)
        return None

    def _key(self, pair: TrainingSample | LabelledPair) -> tuple[str, str]:
        return (_path(pair)[-1].casefold(), pair.caption if self._by_caption else "")


def _same_size(record: LabelledPair, sample: TrainingSample) -> bool:
    # A record whose image was never opened has no size; nor has some gold.
    if min(record.width, record.height, sample.width, sample.height) < 1:
        return True
    return (record.width, record.height) == (sample.width, sample.height)


def _path(pair: TrainingSample | LabelledPair) -> tuple[str, ...]:
    return tuple(_parts(pair.image_uri))


def _parts(uri: str) -> list[str]:
    """The parts of a path or URL as people would write them: `a%20b.jpg?size=2` is `a b.jpg`."""
    if ImageAddress.of(uri).kind is UriKind.WEB:
        uri = uri.partition("?")[0]
    parts = re.split(r"[/#]", unicodedata.normalize("NFC", unquote(uri)).replace("\\", "/"))
    return [part for part in parts[:-1] if part not in ("", ".")] + parts[-1:]


def _common(a: Sequence[str], b: Sequence[str]) -> tuple[int, bool]:
    """How many path parts agree, from the end, whatever their case; and whether that agrees too."""
    common, same_case = 0, True
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one.casefold() != other.casefold():
            break
        common += 1
        same_case = same_case and one == other
    return common, same_case


def _name(names: list[str], name: str) -> None:
    if len(names) <= MAX_NAMED:
        names.append(name)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:MAX_NAMED])
    return shown + (", ..." if len(names) > MAX_NAMED else "")
