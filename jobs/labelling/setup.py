"""What a labelling run is made of: corpus, teacher, phrases. Small, and sent to every worker.

A `LabelSetup` can say what it would load without loading it: the driver plans a run, the workers
load the weights. Tests bring a setup of their own.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jobs.labelling.corpora.corpus import Corpus
from pipeline.labelling.rows import answered_row
from schemas.errors import ConfigError
from schemas.grounder import Grounder, ScoreFacts

if TYPE_CHECKING:
    from jobs.labelling.corpora.captioned_corpus import CaptionsFor
    from model.teacher.options import TeacherOptions
    from pipeline.corpus import CorpusOptions
    from pipeline.labelling.annotate_unit import MakeRow, SizeKey
    from pipeline.labelling.pairs import CaptionParser, PairLimits
    from pipeline.phrases.class_list import ClassList
    from pipeline.phrases.extract import PhraseOptions

__all__ = ["Corpus", "LabelSetup", "TeacherSetup", "Tools"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a worker has loaded."""

    grounder: Grounder
    parser: CaptionParser
    size_key: SizeKey
    note: str = ""
    """What a user must know about this teacher."""
    set_before_batch: Callable[[Callable[[], object]], object] = lambda call: None
    """Have `call` called before each of the batches that the teacher makes of a call."""
    make_row: MakeRow = answered_row
    """What becomes of an answer."""


class LabelSetup(Protocol):
    """How a worker comes to its tools, and what they would be."""

    @property
    def limits(self) -> PairLimits:
        """Which pairs are used."""
        ...

    def open_corpus(self) -> Corpus:
        """The corpus; may be sent to workers."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """`teacher` and `phrases`: all of them that changes the rows. Nothing is loaded."""
        ...

    def teacher_id(self) -> str:
        """The teacher's name in every row."""
        ...

    def load(self) -> Tools:
        """The real things."""
        ...


@dataclass(frozen=True, kw_only=True)
class TeacherSetup:
    """A GLIP teacher on a corpus."""

    corpora: tuple[str, ...]
    """One, or several that are one run."""
    corpus_options: CorpusOptions
    teacher: str | None
    """A model directory or a hub id; None: the shipped glip-nano."""
    device: str
    options: TeacherOptions
    phrase_options: PhraseOptions
    limits: PairLimits
    captions_for: CaptionsFor = "missing"
    """Whose captions those of a captioning are, where `corpus_options` name one."""
    classes: ClassList | None = None
    """What to look for in every image, in place of captions and their phrases."""
    _identity: dict[str, Any] = field(default_factory=dict, compare=False)

    def open_corpus(self) -> Corpus:
        """Find the corpus and list its files.

        Raises:
            ConfigError: there is no corpus, or not of a kind that is read.
        """
        from jobs.labelling.corpora.class_corpus import ClassCorpus
        from pipeline.corpus.joined import open_corpora

        if self.corpus_options.made_captions is not None:
            return self._captioned(self.corpus_options.made_captions)
        if self.classes is None:
            return open_corpora(self.corpora, self.corpus_options)
        images = replace(self.corpus_options, captions="none")
        return ClassCorpus(open_corpora(self.corpora, images), self.classes.caption)

    def _captioned(self, captions: str) -> Corpus:
        from jobs.labelling.corpora.captioned_corpus import CaptionedCorpus, open_captions
        from pipeline.corpus.joined import open_corpora

        if self.classes is not None:
            raise ConfigError(
                "give captions or names, not both: a class list takes the place of the captions"
            )
        store = open_captions(captions)
        images = replace(self.corpus_options, captions="none")
        if self.captions_for == "all":
            return CaptionedCorpus.of(open_corpora(self.corpora, images), store, "all")
        own = replace(self.corpus_options, captions="all")
        try:
            corpus = open_corpora(self.corpora, own)
        except ConfigError:
            # A list without any field of captions: then no image has one.
            corpus = open_corpora(self.corpora, images)
            return CaptionedCorpus.of(corpus, store, "all")
        return CaptionedCorpus.of(corpus, store, "missing")

    def fingerprint(self) -> dict[str, Any]:
        """Teacher and phrase extractor as the workers will have them."""
        if not self._identity:
            from model.teacher.load import teacher_directories, teacher_identity

            parser = self._parser()
            # Fetched here, once: a worker never asks the hub.
            place = ",".join(map(str, teacher_directories(self.teacher)))
            teacher_id, teacher = teacher_identity(place, device=self.device, options=self.options)
            phrases = parser.fingerprint()
            self._identity.update(
                teacher_id=teacher_id, teacher=dict(teacher), phrases=phrases, place=place
            )
        return {name: self._identity[name] for name in ("teacher", "phrases")}

    def teacher_id(self) -> str:
        """Preset and content hash."""
        self.fingerprint()
        return str(self._identity["teacher_id"])

    def note(self) -> str:
        """What a user must know about this teacher; empty where there is nothing."""
        from model.teacher.load import teacher_note

        return teacher_note(self.teacher)

    def scores(self) -> ScoreFacts:
        """What the teacher's scores are; nothing is loaded."""
        from model.teacher.load import teacher_scores

        return teacher_scores(self.teacher)

    def seconds_per_record(self) -> float:
        """Of one worker, roughly; nothing is loaded."""
        from model.teacher.load import named_device
        from model.teacher.speed import seconds_per_image

        return self.options.num_views * seconds_per_image(
            self.teacher,
            min_size=self.options.min_size,
            on_gpu=named_device(self.device).type == "cuda",
        )

    def _place(self) -> str | None:
        """The teacher's directory as the driver found it.

        Raises:
            ConfigError: this machine does not have it.
        """
        from model.teacher.ensemble import members_of

        place = self._identity.get("place")
        absent = [one for one in members_of(place) if one is not None and not Path(one).is_dir()]
        if not absent:
            return place or self.teacher
        given = self.teacher or "shipped"
        raise ConfigError(
            f"teacher {given!r}: {absent[0]} is not there on {platform.node()}. Every node needs "
            "the model at this path: share the folder, give --teacher a shared directory, or run "
            f"`glipforge models --fetch {given}` on every node"
        )

    def load(self) -> Tools:
        """Load the weights and the parser."""
        from model.teacher.load import load_teacher, torch_device
        from model.training.memory import keep_freed_memory_of_threads
        from pipeline.labelling.class_grounder import ClassGrounder

        if torch_device(self.device).type == "cpu":
            keep_freed_memory_of_threads()
        parser = self._parser()  # it loads while the teacher does
        teacher = load_teacher(self._place(), device=self.device, options=self._settled())

        def set_before_batch(call: Callable[[], object]) -> None:
            teacher.before_batch = call

        return Tools(
            grounder=ClassGrounder(teacher, self.classes) if self.classes else teacher,
            parser=parser,
            size_key=teacher.size_key,
            note=teacher.note,
            set_before_batch=set_before_batch,
        )

    def _settled(self) -> TeacherOptions:
        """With the number format that the driver chose: a worker may have another CPU."""
        chosen = self._identity.get("teacher", {}).get("options", {}).get("precision")
        return replace(self.options, precision=chosen) if chosen else self.options

    def _parser(self) -> CaptionParser:
        """In a process that ends: a driver of days need not hold the parser."""
        from pipeline.labelling.class_grounder import ClassListParser
        from pipeline.phrases.parser_process import PhraseProcess

        if self.classes is not None:
            return ClassListParser(self.classes)
        return PhraseProcess(self.phrase_options)
