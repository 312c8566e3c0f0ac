"""What a user may say about a corpus; everything else is found by looking."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from schemas.errors import ConfigError

CorpusFormat = Literal[
    "auto",
    "imagefolder",
    "jsonl",
    "csv",
    "json",
    "webdataset",
    "parquet",
    "coco-captions",
    "img2dataset",
]
CAPTIONS = ("all", "first", "none")
FORMATS: tuple[str, ...] = tuple(kind for kind in get_args(CorpusFormat) if kind != "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusOptions:
    """How to read a corpus. All of it is part of a run's plan."""

    format: CorpusFormat = "auto"
    """The kind of corpus; found out by looking if `auto`."""
    caption_field: str | None = None
    """Column, JSON key or tar member ending that holds the caption; found if not given."""
    image_field: str | None = None
    """Column, JSON key or tar member ending that holds the image; found if not given."""
    id_field: str | None = None
    """Column or JSON key with an id of each pair; the file name or position if not given."""
    image_root: str | None = None
    """Folder or URL that image paths start from; the folder of the captions if not given."""
    captions: str = "all"
    """Where an image has a list of captions: `all`, one pair for each, or `first`. `none`: the
    images alone, as for --names; none of them is then without its caption. For `label` also the
    folder that `glipforge caption` wrote: its captions go to images without any."""
    source: str | None = None
    """First part of every record id; the name of the corpus folder if not given."""
    max_caption_chars: int = 10_000
    """A longer caption is not labelled; its row says so."""
    untrusted: bool = False
    """The corpus is somebody else's: of this machine only files below it are read, of the web only
    public addresses."""

    def __post_init__(self) -> None:
        if self.format != "auto" and self.format not in FORMATS:
            raise ConfigError(
                f"format must be auto or one of {', '.join(FORMATS)}, got {self.format!r}"
            )
        if not self.captions:
            raise ConfigError("captions must be all, first or none, got ''")
        if self.max_caption_chars < 1:
            raise ConfigError(f"max_caption_chars must be at least 1, got {self.max_caption_chars}")
        for name in ("caption_field", "image_field", "id_field", "image_root", "source"):
            if getattr(self, name) == "":
                raise ConfigError(f"{name} must not be empty; leave it out to have it found")

    @property
    def made_captions(self) -> str | None:
        """The captioning that `captions` names, where it is not one of its three words."""
        return None if self.captions in CAPTIONS else self.captions

    def as_dict(self) -> dict[str, object]:
        """All fields, for a plan; `untrusted` only where it is set, as older plans have none."""
        fields = asdict(self)
        if not self.untrusted:
            del fields["untrusted"]
        return fields
