"""What a labelling run is made of: corpus, teacher, phrases. Small, and sent to every worker.

A `LabelSetup` can say what it would load without loading it: the driver plans a run, the workers
load the weights. Tests bring a setup of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from schemas.grounder import Grounder
from schemas.plan import InputFile, Unit
from schemas.records import CorpusRecord

if TYPE_CHECKING:
    from model.teacher.options import TeacherOptions
    from pipeline.corpus import CorpusOptions
    from pipeline.labelling.annotate_unit import SizeKey
    from pipeline.labelling.pairs import CaptionParser, PairLimits
    from pipeline.phrases.extract import PhraseOptions


class Corpus(Protocol):
    """What a run needs of a corpus; `pipeline.corpus.Corpus` has more."""

    @property
    def format(self) -> str:
        """Name of the kind of corpus."""
        ...

    @property
    def uri(self) -> str:
        """Where it is."""
        ...

    def inputs(self) -> tuple[InputFile, ...]:
        """The input files."""
        ...

    def units(self, records_per_unit: int) -> tuple[Unit, ...]:
        """All of it in units."""
        ...

    def read(self, unit: Unit) -> Iterator[CorpusRecord]:
        """The records of a unit."""
        ...

    def fingerprint(self) -> Mapping[str, object]:
        """What changes the records besides the files."""
        ...


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

    corpus: str
    corpus_options: CorpusOptions
    teacher: str | None
    """A model directory or a hub id; None: the shipped glip-nano."""
    device: str
    options: TeacherOptions
    phrase_options: PhraseOptions
    limits: PairLimits
    _identity: dict[str, Any] = field(default_factory=dict, compare=False)

    def open_corpus(self) -> Corpus:
        """Find the corpus and list its files.

        Raises:
            ConfigError: there is no corpus, or not of a kind that is read.
        """
        from pipeline.corpus import open_corpus

        return open_corpus(self.corpus, self.corpus_options)

    def fingerprint(self) -> dict[str, Any]:
        """Teacher and phrase extractor as the workers will have them."""
        if not self._identity:
            from model.teacher.load import teacher_identity
            from pipeline.phrases.parser_process import PhraseProcess

            # In a process that ends: a driver of days need not hold the parser.
            parser = PhraseProcess(self.phrase_options)
            teacher_id, teacher = teacher_identity(self.teacher, options=self.options)
            phrases = parser.fingerprint()
            self._identity.update(teacher_id=teacher_id, teacher=dict(teacher), phrases=phrases)
        return {name: self._identity[name] for name in ("teacher", "phrases")}

    def teacher_id(self) -> str:
        """Preset and content hash."""
        self.fingerprint()
        return str(self._identity["teacher_id"])

    def load(self) -> Tools:
        """Load the weights and the parser."""
        from model.teacher.load import load_teacher
        from pipeline.phrases.parser_process import PhraseProcess

        parser = PhraseProcess(self.phrase_options)  # it loads while the teacher does
        teacher = load_teacher(self.teacher, device=self.device, options=self.options)

        def set_before_batch(call: Callable[[], object]) -> None:
            teacher.before_batch = call

        return Tools(
            grounder=teacher,
            parser=parser,
            size_key=teacher.size_key,
            note=teacher.note,
            set_before_batch=set_before_batch,
        )
