"""Training losses and the gradients of their sum."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from model.files.official_names import official_prefixes
from model.inputs.preprocess import Preprocessor
from model.inputs.tokenizer import default_tokenizer
from model.losses.glip_loss import GlipLoss, GroundingTarget
from model.network.box_coder import to_half_open
from model.network.glip import Glip
from model.outputs import TokenBatch
from tests.parity.fixture import Fixture, Line
from tests.parity.forward import LIMIT

LOSS_LIMIT, GRADIENT_LIMIT = 1e-5, 5e-3
NAMES = {"token": "dot_product_token", "box": "reg", "centerness": "centerness"}


def check_losses(fixture: Fixture, model: Glip) -> None:
    """Add a line for every recorded tensor of a loss fixture."""
    device = next(model.parameters()).device
    tokens = default_tokenizer().batch(fixture.meta["captions"])
    tokens = TokenBatch(*(tensor.to(device) for tensor in tokens))
    mask_BT = tokens.attention_mask_BT
    output = model(_pixels(fixture).to(device), tokens)
    logits = output.logits_BNT
    for image, mask in enumerate(mask_BT):
        fixture.compare(f"head/dot_product_logits/{image}", logits[image][:, mask > 0], LIMIT)
    fixture.compare("head/bbox_reg", output.box_deltas_BN4, LIMIT)
    fixture.compare("head/centerness", output.centerness_BN, LIMIT)
    fixture.compare("anchors", output.anchors_N4, LIMIT)
    targets = [target.to(device) for target in _targets(fixture)]
    loss = GlipLoss()
    assigned = loss.assign(output.anchors_N4, output.level_sizes, targets)
    index_P2 = torch.stack([assigned.image_index_P, assigned.anchor_index_P], 1)
    fixture.compare("atss/pos_index", index_P2, 0.0)
    fixture.compare("atss/pos_token_labels", assigned.positive_map_PT, 0.0)
    fixture.compare("atss/pos_reg_targets", assigned.box_deltas_P4, LOSS_LIMIT)
    fixture.compare("atss/pos_centerness", assigned.centerness_P, LOSS_LIMIT)
    parts = loss(output, targets, mask_BT)
    recorded = dict(zip(fixture.arrays["loss/names"], fixture.arrays["loss/values"], strict=True))
    for ours, theirs in NAMES.items():
        want = float(recorded[f"loss_{theirs}"])
        error = abs(float(parts.named()[ours].detach()) - want) / max(abs(want), 1e-12)
        fixture.lines.append(Line(f"loss/{theirs}", error, LOSS_LIMIT))
    parts.total.backward()
    _check_gradients(fixture, model)


def _targets(fixture: Fixture) -> list[GroundingTarget]:
    return [
        GroundingTarget(
            to_half_open(fixture.tensor(f"target/{image}/boxes")),
            (fixture.tensor(f"target/{image}/positive_map") > 0).float(),
        )
        for image in range(len(fixture.meta["captions"]))
    ]


def _pixels(fixture: Fixture) -> Tensor:
    """Our own input from the images; the recorded one where it is whole."""
    spec = fixture.meta["spec"]
    preprocessor = Preprocessor(min_size=spec["min_size"], max_size=spec["max_size"])
    images = [fixture.arrays[f"image/{n}"] for n in range(len(fixture.meta["captions"]))]
    pixels = preprocessor.batch([preprocessor.resize(image) for image in images]).pixels_B3HW
    fixture.compare("input", pixels, 0.0)
    return fixture.tensor("input") if "input" in fixture.arrays else pixels


def summed_loss(fixture: Fixture, model: Glip, pixels_B3HW: Tensor) -> Tensor:
    """The sum of the losses of a recorded batch."""
    tokens = default_tokenizer().batch(fixture.meta["captions"])
    output = model(pixels_B3HW, tokens)
    return GlipLoss()(output, _targets(fixture), tokens.attention_mask_BT).total


def gradients_of(model: Glip) -> dict[str, Tensor | None]:
    """Published name -> gradient, after a backward pass."""
    table = official_prefixes(model.config)
    back = sorted(((ours, theirs) for theirs, ours in table.items()), key=lambda p: -len(p[0]))
    gradients = {}
    for name, parameter in model.named_parameters():
        ours, theirs = next(p for p in back if name == p[0] or name.startswith(p[0] + "."))
        gradients[theirs + name[len(ours) :]] = parameter.grad
    return gradients


def _check_gradients(fixture: Fixture, model: Glip) -> None:
    gradients = gradients_of(model)
    names = json.loads(bytes(fixture.arrays["grad_norm/names"]))
    wanted = fixture.arrays["grad_norm/values"]
    largest = float(wanted.max())
    for name, want in zip(names, wanted, strict=True):
        gradient = gradients.get(name)
        if gradient is None:
            got = -1.0 if want < 0 else 0.0
        else:
            got = float(np.linalg.norm(gradient.cpu().numpy().astype(np.float64)))
            want = max(want, 0.0)
        # Key biases shift every score of a softmax alike: their gradient is rounding alone.
        scale = max(abs(want), 1e-6 * largest)
        line = Line(f"grad_norm/{name}", abs(got - want) / scale, GRADIENT_LIMIT)
        fixture.lines.append(line)
        if gradient is not None:
            fixture.compare(f"grad/{name}", gradient, GRADIENT_LIMIT)
