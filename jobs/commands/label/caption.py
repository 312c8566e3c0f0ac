"""Make captions for the images of a corpus, with BLIP, BLIP-2, GIT or Florence-2, on Ray workers.

The output is a folder of captions for `glipforge label --captions`. The same command goes on after
any stop, and nothing is captioned twice. An image that cannot be used has a row with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import tyro

from jobs.arguments import Corpus, Run
from jobs.labelling.running import Running
from model.captioners.options import CaptionerOptions
from pipeline.corpus.options import CorpusOptions
from pipeline.images.decode import ImageLimits
from pipeline.labelling.pairs import PairLimits
from schemas.errors import ConfigError

EXAMPLES = (
    "glipforge caption photos --model Salesforce/blip-image-captioning-base --out captions",
    "glipforge caption photos --model models/git --out captions --per-image 3 --runner local",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge caption`."""

    corpus: tyro.conf.Positional[Corpus]
    """A file, a folder, a pattern or a URL, as for `glipforge label`."""
    model: str
    """A directory or hub id (owner/name) of a captioner of transformers."""
    out: Run
    """Where the captions go: a folder, or a URL. One that is there is continued."""
    only_missing: bool = False
    """Leave images alone that have a caption of their own."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    records_per_unit: int = 0
    """Images that are committed together. 0: at most 512, at least two units for each worker."""
    reading: tyro.conf.OmitArgPrefixes[CorpusOptions] = field(default_factory=CorpusOptions)
    """How the corpus is read."""
    asking: tyro.conf.OmitArgPrefixes[CaptionerOptions] = field(default_factory=CaptionerOptions)
    """How the captioner is asked."""
    images: ImageLimits = field(default_factory=ImageLimits)
    """Which images are used."""
    running: tyro.conf.OmitArgPrefixes[Running] = field(default_factory=Running)
    """Where and how fast."""


def run(config: Config) -> int:
    """Caption what is not captioned yet; returns 0, or 1 if units or too many of the images failed.

    Raises:
        ConfigError: a wrong corpus, model or output; nothing was captioned.
    """
    from jobs.commands.label.label import label
    from jobs.labelling.caption_setup import CaptionSetup
    from jobs.ray_session import require_absolute
    from pipeline.storage.files import is_local, local_path

    for name, path in (("out", config.out), ("corpus", config.corpus)):
        require_absolute(name, path)
    if config.only_missing and config.reading.captions == "none":
        raise ConfigError(
            "only_missing keeps the captions of the corpus, captions none ignores them: give one"
        )
    corpus = local_path(config.corpus) if is_local(config.corpus) else config.corpus
    setup = CaptionSetup(
        corpora=(corpus,),
        corpus_options=config.reading,
        model=config.model,
        device=config.device,
        options=config.asking,
        limits=PairLimits(image=config.images),
        only_missing=config.only_missing,
    )
    if config.running.runner == "local":
        from model.teacher.load import torch_device

        torch_device(config.device)  # refused before anything is written
    return label(setup, config.out, config.records_per_unit, config.running)
