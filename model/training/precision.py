"""Number formats of a training step: fp32, bf16 and fp16 with a loss scaler."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from schemas.errors import ConfigError

PrecisionName = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Precision:
    """How the forward pass computes. Weights and the optimiser are float32 always."""

    name: PrecisionName
    device_type: str

    def __post_init__(self) -> None:
        if self.name not in ("fp32", "bf16", "fp16"):
            raise ConfigError(f"precision must be fp32, bf16 or fp16, got {self.name!r}")
        if self.name == "fp16" and self.device_type == "cpu":
            raise ConfigError("precision fp16 needs a GPU; on a CPU use bf16 or fp32")

    def autocast(self) -> AbstractContextManager:
        """The context that the forward pass runs in; losses leave it for float32."""
        if self.name == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.name == "bf16" else torch.float16
        return torch.autocast(self.device_type, dtype=dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """A loss scaler that does something for fp16 only."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")
