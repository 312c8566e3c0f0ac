"""Draw a part of the miniature world: gold data, or a captioned corpus to label."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.errors import ConfigError

GOLD_STYLES = ("noto", "fluent-flat")


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Options of `glipforge demo world`. Equal options draw equal scenes."""

    out: Path
    """A new folder; its name is part of the seed, so that two parts of a world differ."""
    kind: Literal["gold", "corpus"] = "corpus"
    """`gold`: pictures with grounding.json (MDETR) and detection.json (COCO). `corpus`: WebDataset
    tars of pictures and captions, and OUT-truth.json beside it."""
    scenes: int = 1000
    """How many; about 100 are drawn in a second."""
    pools: tuple[Literal["seen", "web", "never"], ...] = ()
    """Whose nouns occur: `seen` (300, those of the shipped teacher's gold data), `web` (150),
    `never` (150). Default: seen for gold, seen and web for a corpus."""
    styles: tuple[Literal["noto", "fluent-flat", "fluent"], ...] = ()
    """Artwork. Default: the first two for gold, all three for a corpus."""
    drop_rate: float = 0.0
    """How often a caption leaves out something that is there."""
    flaws: int = 0
    """`corpus`: so many records that cannot be labelled are added: a corrupt picture, no caption, a
    caption without a noun, no picture."""
    side: int = 128
    """Pixels of a scene."""
    seed: int = 0
    """Decides everything that is drawn."""


def run(config: WorldConfig) -> int:
    """Draw; returns 0."""
    from pipeline.world import STYLES, CorpusShape, SceneOptions, nouns_of, write_corpus, write_gold

    if config.out.exists() and any(config.out.iterdir()):
        raise ConfigError(f"out: {config.out} is not empty; give a new folder")
    if config.scenes < 1 or config.flaws < 0 or not 0 <= config.drop_rate < 1:
        raise ConfigError(
            f"scenes must be at least 1, flaws at least 0 and drop_rate in [0, 1), got "
            f"{config.scenes}, {config.flaws} and {config.drop_rate}"
        )
    is_gold = config.kind == "gold"
    pools = config.pools or (("seen",) if is_gold else ("seen", "web"))
    styles = config.styles or (GOLD_STYLES if is_gold else STYLES)
    shape = CorpusShape(
        name=config.out.name,
        scenes=config.scenes,
        nouns=tuple(noun for pool in pools for noun in nouns_of(pool)),
        options=SceneOptions(side=config.side, styles=styles),
        drop_rate=config.drop_rate,
        seed=config.seed,
    )
    try:
        if is_gold:
            first, second = write_gold(shape, config.out)
        else:
            first, second = write_corpus(shape, config.out, flaws=config.flaws)
    except BaseException:
        shutil.rmtree(config.out, ignore_errors=True)  # half a part would be taken for a whole one
        raise
    print(f"{config.scenes:,} scenes of {len(shape.nouns)} nouns: {first}, {second}")
    return 0
