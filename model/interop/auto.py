"""`import model.interop.auto` makes transformers' Auto classes know GLIP: `AutoModel`,
`AutoProcessor`, `AutoConfig`, each with `.from_pretrained` of a model directory or a hub id.

Nothing else imports this, nor transformers: a teacher does without its 0.3 GB.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoProcessor, PreTrainedConfig

from model.files.directory import MODEL_TYPE
from model.files.pretrained import load_pretrained
from model.files.source import resolve_source
from model.interop.processor import GlipProcessor
from model.network.glip import Glip

_OF_OTHER_MODELS = ("_from_auto", "config", "trust_remote_code", "adapter_kwargs")
"""What the Auto classes hand to every model. A GLIP has its configuration from its directory and
runs no code from there."""


class GlipAutoConfig(PreTrainedConfig):
    """The fields of `config.json` as transformers shows them; `Glip.config` is the typed form."""

    model_type = MODEL_TYPE


class GlipAutoModel(Glip):
    """What `AutoModel.from_pretrained` loads: a `Glip`."""

    config_class = GlipAutoConfig

    @classmethod
    def from_pretrained(
        cls,
        source: Any,
        *,
        revision: str | None = None,
        dtype: torch.dtype | str | None = None,
        **options: Any,
    ) -> Glip:
        """The model of a directory or a hub id, in evaluation mode.

        Args:
            source: Directory or `owner/name`.
            revision: Branch, tag or commit on the hub.
            dtype: What the weights become, "float16" or `torch.float16`; None, "auto": float32.

        Raises:
            TypeError: an option of transformers that this model does not have.
            ConfigError, MissingDependency: as `model.files.pretrained.load_pretrained`.
        """
        _refuse(options)
        model = load_pretrained(resolve_source(source, revision))
        if dtype is None or dtype == "auto":
            return model
        wanted = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
        if not isinstance(wanted, torch.dtype):
            raise TypeError(f"dtype {dtype!r} is not a torch dtype such as 'float16'")
        return model.to(wanted)


class GlipAutoProcessor(GlipProcessor):
    """What `AutoProcessor.from_pretrained` loads: a `GlipProcessor`."""

    @classmethod
    def from_pretrained(
        cls, source: Any, *, revision: str | None = None, **options: Any
    ) -> GlipProcessor:
        """The processor of a directory or a hub id.

        Raises:
            TypeError: an option of transformers that this processor does not have.
            ConfigError, MissingDependency: as `GlipProcessor.from_pretrained`.
        """
        _refuse(options)
        return GlipProcessor.from_pretrained(resolve_source(source, revision))


def _refuse(options: dict[str, Any]) -> None:
    unknown = sorted(name for name in options if name not in _OF_OTHER_MODELS)
    if unknown:
        raise TypeError(f"GLIP has no option {unknown[0]!r}; allowed: dtype, revision")


AutoConfig.register(MODEL_TYPE, GlipAutoConfig)
AutoModel.register(GlipAutoConfig, GlipAutoModel)
AutoProcessor.register(GlipAutoConfig, GlipAutoProcessor)
