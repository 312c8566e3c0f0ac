"""A corpus whose images have the captions that `glipforge caption` made: those without, or all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jobs.labelling.corpora.corpus import Corpus, OtherCaptions
from pipeline.labelling.captions import SEPARATOR
from pipeline.run.captioner import captioner_of
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.plan import Unit
from schemas.records import MADE_CAPTION, CorpusRecord, Status

CaptionsFor = Literal["missing", "all"]


def open_captions(uri: str) -> RunStore:
    """The captioning at a path or URL, whole.

    Raises:
        ConfigError: it is not one, or not complete.
    """
    store = RunStore(uri)
    if not store.has("_plan.json"):
        raise ConfigError(
            f"captions must be all, first, none, or a folder that `glipforge caption` wrote; "
            f"{uri!r} is not one"
        )
    if not captioner_of(store.plan()):
        raise ConfigError(f"captions: {uri!r} is a labelling, not what `glipforge caption` wrote")
    if not store.is_complete():
        raise ConfigError(
            f"captions: {uri!r} is not complete: the `glipforge caption` command that began it "
            "goes on"
        )
    return store


@dataclass(frozen=True)
class CaptionedCorpus(OtherCaptions):
    """The records of `corpus` with captions from a captioning of the same images.

    An image with several captions becomes several records, `ID/0`, `ID/1`, and so on; one without
    any keeps its place, with the reason.
    """

    captions: str
    """Where the captioning is."""
    whose: CaptionsFor
    units_of: Mapping[str, tuple[Unit, ...]]
    """Input file -> the captioning's units of it."""
    plan_id: str
    """Fingerprint of the captioning's plan, which names the captioner."""

    @classmethod
    def of(cls, corpus: Corpus, store: RunStore, whose: CaptionsFor) -> CaptionedCorpus:
        """The corpus with the captions of a store.

        Raises:
            ConfigError: the captions are of other files.
        """
        plan = store.plan()
        mine = {file.uri: (file.size, file.etag) for file in corpus.inputs()}
        theirs = {file.uri: (file.size, file.etag) for file in plan.inputs}
        if mine != theirs:
            other = sorted(uri for uri in mine.keys() | theirs if mine.get(uri) != theirs.get(uri))
            raise ConfigError(
                f"captions: {store.uri!r} was made of {plan.corpus!r} as it was then; "
                f"{len(other):,} files differ, the first {other[0]!r}. Caption this corpus into "
                "another folder"
            )
        units: dict[str, tuple[Unit, ...]] = {}
        for unit in plan.units:
            units[unit.uri] = (*units.get(unit.uri, ()), unit)
        return cls(corpus, store.uri, whose, units, store.plan_id())

    @property
    def explanation(self) -> str:
        """One line on what was found."""
        said = super().explanation
        return f"{said}; captions of {self.captions} for {self.whose} images".lstrip("; ")

    def units(self, records_per_unit: int) -> tuple[Unit, ...]:
        """All of it in units; how many captions there are, only reading tells."""
        return tuple(replace(u, num_records=-1) for u in super().units(records_per_unit))

    def fingerprint(self) -> Mapping[str, object]:
        """What changes the records besides the files."""
        made = {"plan": self.plan_id, "for": self.whose}
        return {**super().fingerprint(), "made_captions": made}

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit."""
        made = self._captions_of(unit)
        for record in self.corpus.read(unit):
            yield from self._captioned(record, made)
            del record  # it may hold an image, which must go before the next one is read

    def _captioned(
        self, record: CorpusRecord, made: Mapping[str, Sequence[str]]
    ) -> Iterator[CorpusRecord]:
        """A record as often as it has captions."""
        is_missing = record.error is not None and record.error[0] is Status.CAPTION_MISSING
        if not is_missing and (self.whose == "missing" or record.error is not None):
            yield record
            return
        # A list of no captions numbers its record as if there were one.
        captions = made.get(record.record_id) or made.get(record.record_id.removesuffix("/0"))
        if not captions:
            reason = (Status.CAPTION_MISSING, f"no caption was made for it in {self.captions}")
            yield replace(record, caption=None, error=reason)
            return
        for number, caption in enumerate(captions):
            yield replace(
                record,
                record_id=record.record_id
                if len(captions) == 1
                else f"{record.record_id}/{number}",
                caption=caption,
                error=None,
                caption_origin=MADE_CAPTION,
            )

    def _captions_of(self, unit: Unit) -> dict[str, list[str]]:
        """record_id -> captions, of the captioning's units that share records with this one.

        Ranges are compared only in the same terms; other units of the file are read whole.
        """
        store = RunStore(self.captions)
        store.know_plan_id(self.plan_id)
        wanted = [
            own.unit_id
            for own in self.units_of.get(unit.uri, ())
            if own.kind != unit.kind or (own.start < unit.stop and unit.start < own.stop)
        ]
        return {
            row.record_id: row.caption.split(SEPARATOR)
            for commit in store.read_markers(wanted).values()
            for file in commit.files
            for row in store.read_rows(commit, file)
            if row.caption_origin == MADE_CAPTION
        }
