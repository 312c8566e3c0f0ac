"""What a captioning is made of: images, and a captioner in the place of a teacher."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, ClassVar

from jobs.labelling.corpora.corpus import Corpus
from jobs.labelling.corpora.uncaptioned_corpus import UncaptionedCorpus
from jobs.labelling.setup import Tools
from pipeline.corpus.options import CorpusOptions
from pipeline.labelling.captions import (
    CaptionGrounder,
    NoPhrases,
    captioned_row,
)
from pipeline.labelling.pairs import PairLimits
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from model.captioners.options import CaptionerOptions


@dataclass(frozen=True, kw_only=True)
class CaptionSetup:
    """A captioner on a corpus."""

    corpora: tuple[str, ...]
    corpus_options: CorpusOptions
    model: str
    """A directory or hub id of a captioner of transformers."""
    device: str
    options: CaptionerOptions
    limits: PairLimits
    only_missing: bool = False
    """Leave images alone that have a caption."""
    role: ClassVar[str] = "model"
    command: ClassVar[str] = "caption"
    _identity: dict[str, Any] = field(default_factory=dict, compare=False)

    def open_corpus(self) -> Corpus:
        """Find the corpus and list its files.

        Raises:
            ConfigError: there is no corpus, or not of a kind that is read.
        """
        from pipeline.corpus.joined import open_corpora

        options = self.corpus_options
        if not self.only_missing:
            options = replace(options, captions="none")
        return UncaptionedCorpus(open_corpora(self.corpora, options), self.only_missing)

    def fingerprint(self) -> dict[str, Any]:
        """The captioner as the workers will have it; nothing is loaded."""
        if not self._identity:
            from model.captioners.load import captioner_directory, captioner_fingerprint

            # Fetched here, once: a worker never asks the hub.
            place = captioner_directory(self.model)
            found = dict(captioner_fingerprint(place, self.options))
            self._identity.update(teacher=found, phrases={}, place=str(place))
        return {name: self._identity[name] for name in ("teacher", "phrases")}

    def teacher_id(self) -> str:
        """Kind and content hash of the captioner."""
        return str(self.fingerprint()["teacher"]["model"])

    def next_step(self, out: str) -> str:
        """What a user does with the captions."""
        named = " ".join(f"--corpus {quote(uri)}" for uri in self.corpora)
        return f"glipforge label {named} --captions {out} --out RUN"

    def load(self) -> Tools:
        """Load the captioner."""
        from model.captioners.load import load_captioner
        from model.teacher.load import torch_device

        self.fingerprint()
        place = Path(self._identity["place"])
        if not place.is_dir():
            raise ConfigError(
                f"model {self.model!r}: {place} is not there on {platform.node()}. Every node "
                "needs the model at this path: share the folder, or give --model a shared directory"
            )
        captioner = load_captioner(place, device=torch_device(self.device), options=self.options)

        def set_before_batch(call: Callable[[], object]) -> None:
            captioner.before_batch = call

        return Tools(
            grounder=CaptionGrounder(captioner),
            parser=NoPhrases(),
            size_key=lambda size_wh: 0,  # all are resized to one size
            set_before_batch=set_before_batch,
            make_row=captioned_row,
        )
