"""What the formats may be told, and what an export says about itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.export.masks import BoxMasks
from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.decode import ImageLimits
from schemas.errors import ConfigError

IMAGE_MODES = ("reference", "copy", "link", "embed")
IMAGE_NAMES = ("original", "content")
SPLIT_NAMES = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What the formats may be told."""

    negative_below: float = 0.1
    """The policy's: a phrase that was asked for and has no box is a negative where no candidate
    reached this score."""
    image_root: str = ""
    """File names are written relative to this folder or URL; empty: whole addresses."""
    images: str = ""
    """`reference`: addresses as they are; `copy` or `link` (symbolic links) into `image_folder`;
    `embed`: their bytes in the export. Empty: what the format does by itself."""
    image_folder: str = ""
    """Where copies and links go; formats that are folders have their own place."""
    image_names: str = "original"
    """Of copies: `original` keeps file names, `content` takes the hash of the bytes."""
    limits: ImageLimits = field(default_factory=ImageLimits)
    """Of the run: what it could label can be copied."""
    access: ImageAccess = ANYTHING
    """Of the run: an untrusted corpus stays so."""
    categories: str = "head"
    """Formats with categories: `head` (one per head noun), `object` (a single dummy one), names
    between commas, or a file: names a line, numbers to names, or names to their synonyms."""
    keep_pairs: bool = False
    """coco and lvis: one image entry per image-caption pair, not per image."""
    split: tuple[float, ...] = ()
    """Shares of train, val and test; an image and its copies stay together."""
    shard_pairs: int = 0
    """Begin a new file after so many pairs; 0: one file."""
    seed: int = 0
    """Of the split."""
    tsv_version: int = 1
    """glip-tsv: 1 has a list per box, 2 a list per phrase."""
    masks: BoxMasks | None = None
    """coco and lvis: the masks that go beside the boxes; None: boxes alone."""

    def __post_init__(self) -> None:
        if self.images and self.images not in IMAGE_MODES:
            raise ConfigError(
                f"images must be one of {', '.join(IMAGE_MODES)}, got {self.images!r}"
            )
        if self.image_names not in IMAGE_NAMES:
            raise ConfigError(
                f"image_names must be one of {', '.join(IMAGE_NAMES)}, got {self.image_names!r}"
            )
        if self.image_root and self.images in ("copy", "link", "embed"):
            raise ConfigError(
                f"give image_root or images {self.images}, not both: copies have their own root"
            )
        if self.shard_pairs < 0:
            raise ConfigError(f"shard_pairs must be 0 or more, got {self.shard_pairs}")
        if self.tsv_version not in (1, 2):
            raise ConfigError(f"tsv_version must be 1 or 2, got {self.tsv_version}")
        shares = self.split
        if shares and (
            not 2 <= len(shares) <= len(SPLIT_NAMES)
            or not all(0 < share < 1 for share in shares)
            or abs(sum(shares) - 1) > 1e-6
        ):
            raise ConfigError(
                "split must be two or three shares that add up to 1, such as 0.9,0.1; got "
                f"{','.join(f'{share:g}' for share in shares)}"
            )


@dataclass(kw_only=True)
class ExportSummary:
    """What an export wrote, and what it left out and why."""

    format: str
    paths: list[str]
    records: int = 0
    boxes: int = 0
    spans: int = 0
    """Box-phrase links."""
    negatives: int = 0
    """Recorded negative phrases written."""
    empty: int = 0
    """Pairs without a box that are written all the same."""
    images: int = 0
    """Image files copied, linked or embedded."""
    split_pairs: Counter[str] = field(default_factory=Counter)
    """Split -> pairs."""
    teachers: Counter[str] = field(default_factory=Counter)
    """Who labelled -> pairs."""
    origins: Counter[str] = field(default_factory=Counter)
    """`teacher`, `human` or `gold` -> boxes."""
    policies: Counter[str] = field(default_factory=Counter)
    """Policy -> pairs."""
    crowds: int = 0
    """Regions to ignore that are written."""
    licenses: Counter[str] = field(default_factory=Counter)
    """Licence that imported data states of an image -> pairs."""
    captions_made: int = 0
    """Pairs whose caption a captioner made."""
    categories: Counter[str] = field(default_factory=Counter)
    """Formats with categories: name -> boxes."""
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    """What a reader of the file must know."""
    advice: list[str] = field(default_factory=list)
    """Options that would have made a better export."""
