"""The forward pass, stage by stage, through to the detections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.inputs.preprocess import Preprocessor
from model.inputs.prompts import positive_map
from model.inputs.tokenizer import default_tokenizer
from model.network.glip import Glip
from model.outputs import GlipOutput, TokenBatch
from model.teacher.options import PostprocessOptions
from model.teacher.postprocess import Detections, postprocess
from tests.parity.fixture import Fixture

LIMIT = 1e-4
AGGREGATIONS = {"mean": "mean", "max": "max", "v2_mean": "mean", "v2_power": "power"}


@torch.no_grad()
def check_forward(fixture: Fixture, model: Glip) -> None:
    """Add a line for every recorded tensor of a forward fixture."""
    compare = partial(fixture.compare, limit=LIMIT)
    pixels, tokens = fixture_inputs(fixture, model)
    mask_BT = tokens.attention_mask_BT
    with _watch(fixture, model, mask_BT):
        levels = model.encode_image(pixels)
        text = model.encode_text(tokens)
        output = model.predict(levels, text)
    _compare_valid(compare, "lang/hidden", text.hidden_BTC, mask_BT)
    masked_BTC = text.hidden_BTC * mask_BT[..., None]
    compare("lang/embedded_all", _padded(masked_BTC))
    compare("lang/aggregate", masked_BTC.sum(1) / mask_BT.sum(1, keepdim=True))
    compare("lang/masks", _padded(mask_BT))
    _compare_valid(
        compare, "head/dot_product_logits", output.logits_BNT.transpose(1, 2), mask_BT, across=True
    )
    compare("head/bbox_reg", output.box_deltas_BN4)
    compare("head/centerness", output.centerness_BN)
    compare("head/level_sizes", torch.tensor(output.level_sizes))
    compare("anchors", output.anchors_N4)
    _check_detections(fixture, output)


def fixture_inputs(fixture: Fixture, model: Glip) -> tuple[Tensor, TokenBatch]:
    """Our own inputs from the images and captions, where the model is; the text trimmed to its
    longest caption."""
    meta = fixture.meta
    preprocessor = Preprocessor(min_size=meta["min_size"], max_size=meta["max_size"])
    images = [fixture.arrays[f"image/{number}"] for number in range(len(meta["captions"]))]
    batch = preprocessor.batch([preprocessor.resize(image) for image in images])
    fixture.compare("input", batch.pixels_B3HW, limit=0.0)
    tokenizer = default_tokenizer()
    tokens = tokenizer.batch(meta["captions"])
    limit = model.config.max_tokens
    fixture.compare("input_ids", _padded(tokens.input_ids_BT, limit), limit=0.0)
    fixture.compare("attention_mask", _padded(tokens.attention_mask_BT, limit), limit=0.0)
    # The recorded input where it is whole, so that later lines do not depend on this one.
    pixels = fixture.tensor("input") if "input" in fixture.arrays else batch.pixels_B3HW
    device = next(model.parameters()).device
    return pixels.to(device), TokenBatch(*(tensor.to(device) for tensor in tokens))


def _padded(x_BT: Tensor, length: int = 256) -> Tensor:
    missing = length - x_BT.shape[1]
    return F.pad(x_BT, (0, missing) if x_BT.ndim == 2 else (0, 0, 0, missing))


def _compare_levels(
    compare: Callable[[str, Tensor], None], prefix: str, levels: Sequence[Tensor]
) -> None:
    for number, level in enumerate(levels):
        compare(f"{prefix}/P{number + 3}", level)


def _compare_valid(
    compare: Callable[[str, Tensor], None],
    prefix: str,
    x_BTC: Tensor,
    mask_BT: Tensor,
    *,
    across: bool = False,
) -> None:
    for image, (rows, mask) in enumerate(zip(x_BTC, mask_BT, strict=True)):
        valid = rows[mask > 0]
        compare(f"{prefix}/{image}", valid.T if across else valid)


@contextmanager
def _watch(fixture: Fixture, model: Glip, mask_BT: Tensor) -> Iterator[None]:
    """Compare what goes through the network while it runs."""
    compare = partial(fixture.compare, limit=LIMIT)
    handles = []

    def watch(module: nn.Module, look: Callable[[object], None]) -> None:
        handles.append(module.register_forward_hook(lambda _m, _i, output: look(output)))

    def split(name: str, v_BNC: Tensor, words_BTL: Tensor, sizes: list) -> None:
        parts = v_BNC.transpose(1, 2).split([height * width for height, width in sizes], dim=2)
        maps = [part.unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]
        _compare_levels(compare, name, maps)
        _compare_valid(compare, f"{name}/lang_valid", words_BTL, mask_BT)

    def rows(name: str, x_BHWC: Tensor) -> None:
        """Rows of positions, of as many images as were recorded."""
        if fixture.has(name):
            compare(name, x_BHWC.flatten(1, 2)[: fixture.shape(name)[0]])

    def branch(name: str, maps: Sequence[Tensor]) -> None:
        for number, tensor in enumerate(maps):
            compare(f"{name}/call{number}", tensor)

    def pyramid(levels: Sequence[Tensor]) -> None:
        sizes.extend((x.shape[-2], x.shape[-1]) for x in levels)
        _compare_levels(compare, "fpn", levels)

    def backbone(maps: Sequence[Tensor]) -> None:
        for number, tensor in enumerate(maps):
            compare(f"backbone/C{number + 3}", tensor)

    sizes: list[tuple[int, int]] = []
    stages = model.backbone.body.layers
    watch(stages[0], lambda x: compare("backbone/C2", x.permute(0, 3, 1, 2)))
    for number, stage in enumerate(stages):
        for place, block in enumerate(stage.blocks):
            watch(block, partial(rows, f"dbg/swin/{number}.{place}"))
    watch(model.backbone, backbone)
    watch(model.pyramid, pyramid)
    for number, layer in enumerate(model.text_encoder.bert.encoder.layer):
        watch(
            layer,
            lambda x, number=number: compare(
                f"dbg/bert/{number:02d}", _first(x)[0][mask_BT[0] > 0]
            ),
        )
    per_layer = 3 if model.config.early_fusion else 1
    for number, layer in enumerate(model.tower):
        first = number * per_layer
        if layer.fusion is not None:
            name = f"tower/{first:02d}_vlfuse"
            watch(layer.fusion, lambda x, name=name: split(name, x[0], x[1], sizes))
            name = f"tower/{first + 1:02d}_bert/lang_valid"
            watch(
                layer.language,
                lambda x, name=name: _compare_valid(compare, name, _first(x), mask_BT),
            )
        name = f"tower/{first + per_layer - 1:02d}_dyconv"
        watch(layer.vision, lambda x, name=name: _compare_levels(compare, name, x))
        name = f"dbg/tower{first + per_layer - 1:02d}"
        # Called once for each level, from P3 on.
        calls = count(3)
        watch(
            layer.vision.offset,
            lambda x, name=name, calls=calls: compare(f"{name}/offset/P{next(calls)}", x),
        )
        for place, part in enumerate(("coarser", "same", "finer")):
            watch(getattr(layer.vision, part), partial(branch, f"{name}/DyConv{place}"))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def detect(fixture: Fixture, output: GlipOutput, aggregation: str = "mean") -> list[Detections]:
    """Boxes of every image, by the reference's numbers."""
    maps = [
        # A label whose name has no token is left out of the record; its row stays, empty.
        positive_map(
            [labels.get(str(n), ()) for n in range(1, max(map(int, labels), default=0) + 1)], 256
        )
        for labels in fixture.meta["label_to_token"]
    ]
    options = PostprocessOptions(aggregation=aggregation)  # type: ignore[arg-type]
    return postprocess(output, maps, torch.tensor(fixture.meta["sizes"]), options)


def _check_detections(fixture: Fixture, output: GlipOutput) -> None:
    meta = fixture.meta
    for tag, aggregation in AGGREGATIONS.items():
        for image, found in enumerate(detect(fixture, output, aggregation)):
            height, width = meta["sizes"][image]
            original_height, original_width = meta["original"][image]
            ratios = torch.tensor([width / original_width, height / original_height])
            boxes = found.boxes_inclusive_K4.cpu()
            fixture.compare_detections(
                f"det/{image}/{tag}",
                boxes,
                boxes / ratios.repeat(2),
                found.scores_K.cpu(),
                found.labels_K.cpu() + 1,
            )
