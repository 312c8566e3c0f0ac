"""Ways to adapt a trained network to a small set, with the numbers of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from model.config import GlipConfig

Tuning = Literal["full", "linear-probe", "prompt"]

LINEAR_PARTS = ("box.*", "centerness.*", "text_projection.*", "log_scale", "bias_lang", "bias0")
"""What the reference's linear probe trains of the head."""


EPOCHS = 24
"""How often the reference shows each image of COCO in fine-tuning."""


def tuning_defaults(tuning: Tuning, start: GlipConfig) -> dict[str, Any]:
    """The fields of a recipe that a way of tuning changes, as JSON; the network is the start's.

    `full` trains everything at 1e-5 (the reference's fine-tuning on COCO); `linear-probe` the last
    layers; `prompt` one vector for each text position, added to the text encoder's output, at rate
    0.05 and decay 0.25. All show every name of a detection source, in its order.

    Args:
        tuning: Which.
        start: The trained network.
    """
    optimizer: dict[str, Any] = {
        "rate": 1e-5,
        "rules": [{"pattern": "*bias*", "rate": 2.0, "decay": 0.0}],
    }
    network = _changes(start)
    defaults: dict[str, Any] = {
        "preset": start.preset,
        "network": network,
        "train": {
            "batch_size": 32,
            "optimizer": optimizer,
            "schedule": {"kind": "steps", "warmup_steps": 0},
        },
        "mixture": {"detection": {"choice": "all"}},
    }
    if tuning == "linear-probe":
        optimizer |= {"rate": 1e-4, "only": [f"head.{part}" for part in LINEAR_PARTS]}
    elif tuning == "prompt":
        optimizer |= {
            "rate": 0.05,
            "weight_decay": 0.25,
            "rules": [],
            "only": ["text_encoder.tuned"],
        }
        if not start.text.tuned_positions:
            network["text"] = network.get("text", {}) | {"tuned_positions": start.max_tokens}
            defaults["warm_start_partial"] = True
    return defaults


def _changes(start: GlipConfig) -> dict[str, Any]:
    """Where a network is other than its preset."""
    from model.config import get_preset

    usual, own = get_preset(start.preset).to_dict(), start.to_dict()
    changed = {name: value for name, value in own.items() if value != usual[name]}
    if "text" in changed:
        text = usual["text"]
        changed["text"] = {n: v for n, v in own["text"].items() if v != text[n]}
    return changed
