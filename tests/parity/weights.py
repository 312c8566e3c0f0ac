"""Weights that anyone can make again from a tensor's published name and shape. numpy only.

Standard normal numbers seeded by the CRC-32 of the name, scaled by what kind of tensor it is; the
gains keep signals alive through the whole network.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import GlipConfig
from model.files.directory import without_random_values
from model.files.official_names import from_official, to_official
from model.network.glip import Glip

# The first pattern found in the name of a matrix decides its gain.
MATRIX_GAINS = (
    (r"\.token_type_embeddings\.weight$", 0.3),
    (r"\.attention\.self\.(query|key)\.weight$", 2.0),
    (r"\.attention\.output\.dense\.weight$", 0.4),
    (r"\.output\.dense\.weight$", 0.5),
    (r"\.b_attn\.attn\.(v_proj|l_proj)\.weight$", 2.0),
    (r"\.offset\.weight$", 0.6),
    (r"\.AttnConv\.1\.weight$", 2.0),
    (r"\.relu\.fc\.2\.weight$", 3.0),
    (r"\.bbox_pred\.weight$", 2.0),
    (r"\.centerness\.weight$", 4.0),
    (r"\.dot_product_projection_text\.weight$", 14.0),
)
# Mean and standard deviation by the name's last part.
BY_LAST_PART = {
    "gamma_v": (0.5, 0.15),
    "gamma_l": (0.5, 0.15),
    "scale": (1.0, 0.1),
    "log_scale": (0.0, 0.1),
    "bias0": (-4.0, 0.1),
    "bias_lang": (0.0, 0.5),
}


def recipe_values(name: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """The values of a floating-point tensor with this published name."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    normal = generator.standard_normal(tuple(shape))
    last = name.rpartition(".")[2]
    if last in BY_LAST_PART:
        mean, std = BY_LAST_PART[last]
    elif len(shape) > 1:
        gains = [gain for pattern, gain in MATRIX_GAINS if re.search(pattern, name)]
        mean, std = 0.0, (gains or [1.0])[0] / np.sqrt(np.prod(shape[1:]))
    elif last == "weight":
        mean, std = 1.0, 0.1
    else:
        mean, std = 0.0, 0.02
    return (mean + std * normal).astype(np.float32)


def official_state(template: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state in the published layout, filled by the recipe; integers and anchors stay."""
    return {
        name: torch.from_numpy(recipe_values(name, tensor.shape))
        if tensor.is_floating_point() and ".cell_anchors." not in name
        else tensor
        for name, tensor in template.items()
    }


def recipe_model(config: GlipConfig) -> Glip:
    """Our network with the recipe's weights, in evaluation mode."""
    with without_random_values():
        model = Glip(config)
    own = model.state_dict()
    state = official_state(to_official(own, config))
    model.load_state_dict(from_official(state, config, own, where="recipe"), assign=True)
    return model.eval()
