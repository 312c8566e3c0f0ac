"""How a captioner is asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from schemas.errors import ConfigError

MAX_CAPTIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerOptions:
    """All but `batch_size` changes the captions."""

    prompt: str = ""
    """Words that captions go on from ("a photo of"), cut off again; for Florence-2 a task such as
    <DETAILED_CAPTION>."""
    per_image: int = 1
    """Captions of an image. One is the likeliest; several are drawn at random, and equal ones
    count once."""
    beams: int = 1
    """Beams of the search for a single caption; 1: always the likeliest next word."""
    top_p: float = 0.9
    """Of several: a word is drawn among the likeliest that hold so much probability together."""
    temperature: float = 1.0
    """Of several: below 1 they differ less, above 1 more."""
    seed: int = 0
    """Of several: the same seed draws the same captions, in any batch and on any worker."""
    max_new_tokens: int = 40
    """Pieces of words in a caption at most."""
    batch_size: int = 16
    """Images that go through the network together."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights and the arithmetic."""

    def __post_init__(self) -> None:
        for name in ("per_image", "beams", "max_new_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.per_image > MAX_CAPTIONS:
            raise ConfigError(f"per_image must be at most {MAX_CAPTIONS}, got {self.per_image}")
        if self.per_image > 1 and self.beams > 1:
            raise ConfigError(
                f"beams must be 1 where several captions are drawn (per_image {self.per_image}), "
                f"got {self.beams}"
            )
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.temperature <= 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise ConfigError(
                f"precision must be float32, bfloat16 or float16, got {self.precision!r}"
            )

    def fingerprint(self) -> dict[str, object]:
        """What changes the captions."""
        fields = asdict(self)
        del fields["batch_size"]
        if self.per_image == 1:
            for name in ("top_p", "temperature", "seed"):
                del fields[name]
        return fields
