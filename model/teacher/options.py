"""How a teacher is asked: everything here is part of its fingerprint or of its speed.

Options only, without torch: the command line reads them for every `--help`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from schemas.errors import ConfigError

Precision = Literal["float32", "bfloat16", "float16", "auto"]
Aggregation = Literal["mean", "max", "power"]
_TILES = re.compile(r"[1-9]x[1-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostprocessOptions:
    """The reference's numbers by default.

    token_threshold: a candidate's token score must be greater (before centerness).
    score_floor: and its final score, sqrt(token score x centerness), at least this.
    max_per_level: best candidates of each level, over all labels.
    nms_iou: boxes of one label overlapping more than this are one.
    max_per_image: best boxes of an image over all labels; ties are kept. 0: no limit.
    max_per_label: best boxes of each label. 0: no limit.
    aggregation: of a label's token probabilities: mean, max, or power (geometric mean).
    """

    token_threshold: float = 0.05
    score_floor: float = 0.0
    max_per_level: int = 1000
    nms_iou: float = 0.6
    max_per_image: int = 100
    max_per_label: int = 0
    aggregation: Aggregation = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherOptions:
    """Numbers of the labelling; thresholds are low, filters come later."""

    score_floor: float = 0.1
    """Candidates below this score are not kept; their phrase's best score is."""
    token_threshold: float = 0.05
    """A candidate's token score must be greater, before centerness."""
    nms_iou: float = 0.6
    """Boxes of one phrase that overlap more than this are one."""
    max_boxes_per_phrase: int = 50
    """Best boxes kept for each phrase. 0: no limit."""
    max_boxes_per_image: int = 0
    """Best boxes kept over all phrases of a prompt, ties included. 0: no limit."""
    aggregation: Aggregation | Literal["auto"] = "auto"
    """Of a phrase's token probabilities: mean, max or power. auto: what the teacher's authors
    take, for GLIP the mean, for Grounding DINO the maximum."""
    max_names: int = 0
    """Class names per prompt (the reference takes 40 for long lists). 0: as many as fit."""
    min_size: int = 0
    """Short side of the input in pixels. 0: what the checkpoint says."""
    max_size: int = 0
    """Long side of the input in pixels. 0: what the checkpoint says."""
    precision: Precision = "float32"
    """Of the network's arithmetic; scores and boxes are always computed in float32. auto: bfloat16
    for GLIP-T on a CPU that computes in it, else float32; see docs/teachers.md."""
    tiles: str = "1x1"
    """Ask about the image and about its tiles, so many across and down: 2x2, 3x2. For small things
    in large images; costs as many more forwards."""
    tile_overlap: float = 0.2
    """Share of a tile that it has in common with the next one, below 0.9."""
    batch_size: int = 8
    """Images in one forward; halved by itself when memory runs out."""

    def __post_init__(self) -> None:
        for name in ("score_floor", "token_threshold", "nms_iou"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {value}")
        if not _TILES.fullmatch(self.tiles):
            raise ConfigError(
                f"tiles must be how many across and down, 1x1 to 9x9, got {self.tiles!r}"
            )
        if not 0 <= self.tile_overlap < 0.9:
            raise ConfigError(f"tile_overlap must be in [0, 0.9), got {self.tile_overlap}")
        for name in (
            "max_boxes_per_phrase",
            "max_boxes_per_image",
            "max_names",
            "min_size",
            "max_size",
        ):
            value = getattr(self, name)
            if value < 0:
                raise ConfigError(f"{name} must be 0 or more, got {value}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be 1 or more, got {self.batch_size}")
        if self.min_size and self.max_size and self.min_size > self.max_size:
            raise ConfigError(
                f"min_size must not exceed max_size, got {self.min_size} and {self.max_size}"
            )

    @property
    def tile_grid(self) -> tuple[int, int]:
        """How many tiles across and down."""
        across, down = self.tiles.split("x")
        return int(across), int(down)

    @property
    def num_views(self) -> int:
        """Forwards of an image: the whole and its tiles."""
        across, down = self.tile_grid
        return 1 if self.tiles == "1x1" else 1 + across * down

    def fingerprint(self) -> Mapping[str, object]:
        """What changes the answers: all but the batch size; tiles only where there are some, as
        older runs have none."""
        options = asdict(self)
        del options["batch_size"]
        if self.tiles == "1x1":
            del options["tiles"], options["tile_overlap"]
        return options

    def with_aggregation(self, usual: Aggregation) -> TeacherOptions:
        """The same with `usual` in place of `auto`: a fingerprint names what was done."""
        return replace(self, aggregation=usual) if self.aggregation == "auto" else self

    def postprocess(self) -> PostprocessOptions:
        """The same numbers for `model.teacher.postprocess`."""
        return PostprocessOptions(
            token_threshold=self.token_threshold,
            score_floor=self.score_floor,
            nms_iou=self.nms_iou,
            max_per_image=self.max_boxes_per_image,
            max_per_label=self.max_boxes_per_phrase,
            aggregation="mean" if self.aggregation == "auto" else self.aggregation,
        )
