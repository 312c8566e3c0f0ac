"""A network as one ONNX file, for runtimes without torch.

The file holds the network of one image size: windows, deformable taps and anchors are numbers of
that size. The number of words is free. Word pieces, the resize and the merging of overlapping
boxes stay outside; the file's metadata say with which numbers.

N positions over all levels, T words.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from model.config import GlipConfig
from model.inputs.preprocess import Preprocessor
from model.network.box_coder import decode_boxes, to_half_open
from model.network.glip import Glip
from model.outputs import TokenBatch
from schemas.errors import ConfigError, MissingDependency

OPSET = 18
INPUTS = ("pixels", "input_ids", "attention_mask")
OUTPUTS = ("boxes", "token_scores", "centerness")
EXAMPLE_WORDS = 12
SCORE_RULE = "sqrt(mean of token_scores over the phrase's tokens x centerness)"


class OnnxGlip(nn.Module):
    """What the file computes."""

    def __init__(self, model: Glip) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One image and one text.

        Args:
            pixels: [1, 3, H, W], normalised BGR, zero-padded at the right and the bottom.
            input_ids: int64 [1, T] with [CLS] and [SEP].
            attention_mask: int64 [1, T], 1 on words, 0 on padding.

        Returns:
            Half-open boxes in input pixels [1, N, 4], the probability of each word at each position
            [1, N, T], and centerness [1, N] in [0, 1].
        """
        tokens = TokenBatch(input_ids, attention_mask)
        model = self.model
        output = model.predict(model.encode_image(pixels), model.encode_text(tokens))
        boxes_BN4 = to_half_open(decode_boxes(output.box_deltas_BN4, output.anchors_N4))
        return boxes_BN4, output.logits_BNT.sigmoid(), output.centerness_BN.sigmoid()


def input_size(config: GlipConfig, size: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) of the file's pixels; without `size` a landscape picture of 4 : 3.

    Raises:
        ConfigError: a side is not a multiple of the network's divisor.
    """
    step = config.size_divisor
    if size is None:
        wide = min(config.max_size, config.min_size * 4 // 3)
        return -(-config.min_size // step) * step, -(-wide // step) * step
    if min(size) < step or size[0] % step or size[1] % step:
        raise ConfigError(
            f"size must be HEIGHTxWIDTH in multiples of {step}, got {size[0]}x{size[1]}"
        )
    return size


def export_onnx(model: Glip, path: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Write the file; weights beyond 2 GB go into `<path>.data` beside it.

    Args:
        model: In evaluation mode, on the CPU.
        path: The file.
        size: (height, width) of its pixels, see `input_size`.

    Returns:
        The file's metadata.

    Raises:
        MissingDependency: onnx or onnxscript is not installed.
        ConfigError: the graph of this network cannot be written; names what does not go.
    """
    try:
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "an ONNX file needs onnx and onnxscript; `pip install glipforge[onnx]` adds them"
        ) from error
    network = OnnxGlip(model).eval()
    example = example_inputs(model.config, size, words=EXAMPLE_WORDS)
    words = torch.export.Dim("words", min=3, max=model.config.max_tokens)
    # With gradients the layers take everything at once; without, in parts whose number depends
    # on the text, which a graph cannot say.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about its own parts
        network(*example)  # fills the caches of this size with numbers, not with the graph's
        try:
            graph = torch.export.export(
                network,
                example,
                dynamic_shapes=(None, {1: words}, {1: words}),
                strict=False,
            )
            program = torch.onnx.export(
                graph,
                dynamo=True,
                opset_version=OPSET,
                input_names=INPUTS,
                output_names=OUTPUTS,
                verbose=False,
            )
        except Exception as error:  # the exporters' errors share no class of their own
            reason = str(error).strip().splitlines() or ["no reason given"]
            raise ConfigError(
                f"{model.config.preset} with the backbone {model.config.backbone!r} has no ONNX "
                f"graph: {type(error).__name__}: {reason[0]}"
            ) from error
    assert program is not None
    metadata = describe(model.config, size)
    for name, value in metadata.items():
        program.model.metadata_props[name] = json.dumps(value)
    program.save(path)
    return metadata


def describe(config: GlipConfig, size: tuple[int, int]) -> dict[str, Any]:
    """What a user of the file has to know, as JSON values."""
    rule = Preprocessor.of(config).fingerprint()
    return {
        "preset": config.preset,
        "height": size[0],
        "width": size[1],
        "channels": "BGR, (value 0..255 - mean) / std, zero-padded at the right and the bottom",
        "mean": rule["mean"],
        "std": rule["std"],
        "max_tokens": config.max_tokens,
        "score": SCORE_RULE,
        "boxes": "x0 y0 x1 y1 in input pixels, half-open, neither clipped nor merged",
    }


def example_inputs(
    config: GlipConfig, size: tuple[int, int], *, words: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise under `words` word pieces, of which the last is padding."""
    drawn = torch.Generator().manual_seed(seed)
    pixels = torch.randn(1, 3, *size, generator=drawn)
    ids = torch.randint(1000, config.text.vocab_size, (1, words), generator=drawn)
    mask = torch.ones(1, words, dtype=torch.int64)
    mask[0, -1] = 0
    return pixels, ids, mask


@torch.no_grad()
def compare_onnx(model: Glip, path: Path, size: tuple[int, int]) -> dict[str, float]:
    """The largest difference of each output between the file and the network, on other inputs
    than it was made with.

    Raises:
        MissingDependency: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingDependency("onnxruntime is not installed") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = example_inputs(model.config, size, words=EXAMPLE_WORDS + 5, seed=1)
    wanted = OnnxGlip(model).eval()(*inputs)
    named = {name: tensor.numpy() for name, tensor in zip(INPUTS, inputs, strict=True)}
    found = session.run(list(OUTPUTS), named)
    return {
        name: float((one - torch.from_numpy(other)).abs().max())
        for name, one, other in zip(OUTPUTS, wanted, found, strict=True)
    }
