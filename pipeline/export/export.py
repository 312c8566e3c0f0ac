"""One export: some runs, curated where they are not, as one stream of records in one format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

from pipeline.curation.curate import ensure_curated
from pipeline.curation.recommended import policy_for, unknown_classes
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.export import export_records, format_of
from pipeline.export.card_facts import card_facts
from pipeline.export.chosen_pairs import read_pairs
from pipeline.export.layered import layered_records
from pipeline.export.masks import BoxMasks, require_masks
from pipeline.export.merge import LEFT_OUT, merged_records
from pipeline.export.options import ExportOptions, ExportSummary
from pipeline.export.parts import Parts
from pipeline.phrases.class_list import planned_classes
from pipeline.run.info import KnownCategories, read_run_info
from pipeline.run.limits import image_access, image_limits, widest_limits
from pipeline.run.open import open_run
from pipeline.run.store import RunStore
from pipeline.storage.files import exists
from pipeline.trust.leakage import leaking
from schemas.errors import ConfigError
from schemas.records import CuratedRecord

LEAKED = "pair whose image is in a test set (glipforge leakage)"
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""A label and a total -> a progress bar, which is told how much is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is exported, and where to."""

    runs: tuple[str, ...]
    """Directories or URLs; a pair that several have is the first one's."""
    out: str
    """The file to write, or the folder of formats that are folders."""
    format: str
    policy: str = ""
    """As `policy_for` takes it; empty: `default`, and for an imported run all that people said."""
    merge_rule: Literal["first", "union"] = "first"
    """As `merged_records` takes it."""
    masks: bool = False
    """coco and lvis: the masks of the layer `masks`."""
    pairs: str = ""
    """Only the pairs whose record ids stand in this file; empty: all."""
    without_leaks: bool = False
    """Leave out the pairs that `leaking` names."""
    card: bool = True
    """Write a data set card."""
    license: str = ""
    """Of the images, for the card."""
    force: bool = False
    """Replace the file, or the folder of an earlier export."""
    options: ExportOptions = field(default_factory=ExportOptions)
    """Of the format; what the runs know better is taken from them."""


class Export:
    """An export that can be made: everything that can be refused at once was looked at.

    Raises:
        ConfigError: no such format, run, policy or file of pairs, a run without the masks or the
            comparison with a test set that are asked for, or a file at `out`.
    """

    def __init__(self, request: ExportRequest) -> None:
        chosen = format_of(request.format, request.out)
        if request.masks and request.format not in ("coco", "lvis"):
            raise ConfigError(f"masks must go with format coco or lvis, got {request.format!r}")
        self.request = request
        self.runs = [open_run(uri) for uri in request.runs]
        self.policies = [policy_for(run, request.policy or None) for run in self.runs]
        self.options = self._options_of_runs()
        if not chosen.is_folder and not request.force:
            self._require_new()
        self._pairs = read_pairs(request.pairs) if request.pairs else None
        self._leaks = [leaking(run) if request.without_leaks else () for run in self.runs]
        self._counts: Counter[str] = Counter()
        """Pairs that are left out here -> how many."""
        self._read = 0
        """Curated records that were read."""

    def write(self, bar: Bar) -> ExportSummary:
        """Curate what is not curated yet, and write; all files appear, or none.

        Raises:
            ConfigError, DataError: as `ensure_curated` and `export_records`.
        """
        request, total = self.request, 0
        for run, policy in zip(self.runs, self.policies, strict=True):
            with bar("curate", run.num_records()) as progress:
                total += ensure_curated(run, policy, progress=progress).records_out
        merge_counts: Counter[str] = Counter()
        with bar("export", total) as progress:
            streams = [
                self._records(run, policy, leaks, progress)
                for run, policy, leaks in zip(self.runs, self.policies, self._leaks, strict=True)
            ]
            summary = export_records(
                merged_records(streams, merge_counts, request.merge_rule),
                request.format,
                request.out,
                self.options,
                known_categories=self._known_categories(),
                card=card_facts(self.runs, self.policies, request.license)
                if request.card
                else None,
                force=request.force,
            )
        if self.options.masks and (note := self.options.masks.note()):
            summary.notes.append(note)
        unknown = [unknown_classes(*one) for one in zip(self.runs, self.policies, strict=True)]
        summary.notes += [unknown[0]] if all(unknown) else []  # of one of the lists it may be
        summary.left_out += Counter({key: merge_counts.pop(key, 0) for key in LEFT_OUT})
        summary.left_out += self._counts
        summary.notes += [f"{number:,} x {note}" for note, number in merge_counts.items() if number]
        return summary

    def _options_of_runs(self) -> ExportOptions:
        limits = [image_limits(run) for run in self.runs]
        if self.request.masks:
            for run in self.runs:
                require_masks(run)
        return replace(
            self.request.options,
            access=image_access(*self.runs),
            limits=limits[0] if len(limits) == 1 else widest_limits(limits),
            # Of several runs the careful one: what is a negative for all of them.
            negative_below=min(policy.negative_below for policy in self.policies),
            masks=BoxMasks() if self.request.masks else None,
        )

    def _require_new(self) -> None:
        folder, slash, name = self.request.out.rpartition("/")
        for part in Parts(self.options).first():
            path = f"{folder}{slash}{part.of_name(name)}"
            if exists(path):
                raise ConfigError(f"out {path!r} exists; give --force to replace it")

    def _records(
        self,
        run: RunStore,
        policy: FilterPolicy,
        leaks: Collection[str],
        progress: Callable[[int], object],
    ) -> Iterator[CuratedRecord]:
        """The curated records of a run that are asked for, their images where these are now."""
        access = self.options.access
        for record in layered_records(run, policy.policy_id, masks=self.request.masks):
            self._read += 1
            if self._read % 500 == 0:
                progress(self._read)
            if self._pairs is not None and record.record_id not in self._pairs:
                continue
            if record.record_id in leaks:
                self._counts[LEAKED] += 1
            elif access.moved:
                yield replace(record, image_uri=access.now(record.image_uri))
            else:
                yield record

    def _known_categories(self) -> KnownCategories | None:
        """The class lists of the runs, one behind the other; those of an imported run; None:
        neither, or one of several runs has no list."""
        asked = [planned_classes(run.plan().config) for run in self.runs]
        lists = [classes.names for classes in asked if classes is not None]
        if len(lists) == len(asked):
            names: dict[str, str] = {}
            for name in chain(*lists):
                names.setdefault(name.casefold(), name)
            return KnownCategories(names=tuple(names.values()), ids=())
        return read_run_info(self.runs[0]).categories if len(self.runs) == 1 else None
